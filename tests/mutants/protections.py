"""The protections, and how each is turned off. A mutant is data: the text that protects, what stands in its place, the test that must fail.

The text occurs exactly once in its file, or the mutant is stale and `make mutants` says so: whoever rewrites a protection
rewrites its mutant. The test is one that fails by an assertion of its own, so none that ends in `pytest.raises`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """`protection`: its name in issue 5 and docs/security.md. `edits`: (text, what stands in its place), all in one file."""

    protection: str
    file: str
    edits: tuple[tuple[str, str], ...]
    test: str


MUTANTS = (
    Mutant(
        "inbox",
        "shared/consumer.py",
        (("if one[1].id in fresh:\n                fresh.discard(one[1].id)", "if True:"),),
        "tests/shared/test_consumer.py::test_an_event_that_was_sent_twice_takes_effect_once[sqlite]",
    ),
    Mutant(
        "outbox order",
        "shared/outbox.py",
        (
            (
                ".where(outbox.c.published_at.is_(None))\n    .order_by(outbox.c.id)",
                ".where(outbox.c.published_at.is_(None))\n    .order_by(outbox.c.id.desc())",
            ),
        ),
        "tests/shared/test_outbox.py::test_facts_are_published_in_the_order_they_were_recorded[sqlite]",
    ),
    Mutant(
        "scope in counts",
        "services/registry/statistics/store.py",
        (("            in_area(households.c.division, area),\n", ""),),
        "tests/registry/test_statistics.py::test_only_the_callers_area_is_counted[sqlite]",
    ),
    Mutant(
        "scope in exports",
        "shared/imports/store.py",
        (
            (
                "select(*shown).where(import_file.c.id == id, in_area(import_file.c.division, area))",
                "select(*shown).where(import_file.c.id == id)",
            ),
            (
                "select(import_file.c.file_sealed).where(import_file.c.id == id, in_area(import_file.c.division, area))",
                "select(import_file.c.file_sealed).where(import_file.c.id == id)",
            ),
        ),
        "tests/registry/test_imports.py::test_the_report_of_another_towns_import_is_not_given_out",
    ),
    Mutant(
        "publicity days",
        "services/funds/publicity/domain.py",
        (("if left := notice.days_left(today):", "if left := 0:"),),
        "tests/funds/test_tranches.py::test_day_nine_of_ten_is_too_early_for_everybody[payer]",
    ),
    Mutant(
        "open objection",
        "services/funds/publicity/domain.py",
        (("    if notice.open_objections:\n", "    if False:\n"),),
        "tests/funds/test_tranches.py::test_an_open_objection_stops_the_payment_for_everybody[payer]",
    ),
    Mutant(
        "four eyes",
        "services/funds/approvals/domain.py",
        (("if person in chain.excluded(act, decisions):", "if False:"),),
        "tests/funds/test_tranches.py::test_who_approved_does_not_pay",
    ),
    Mutant(
        "rounding remainder",
        "shared/money.py",
        (("for i in by_remainder[: total_fen - sum(shares)]:", "for i in by_remainder[:0]:"),),
        "tests/shared/test_money.py::TestShareOut::test_the_shares_add_up_to_the_sum",
    ),
    Mutant(
        "idempotency hash",
        "shared/idempotency.py",
        (("if row.request_hash != claim.request_hash:", "if False:"),),
        "tests/shared/test_http.py::test_the_same_key_with_another_request_is_refused",
    ),
    Mutant(
        "dead-letter parking",
        "shared/consumer.py",
        (("if shut and dead_letters.key_of(record) in shut:", "if False:"),),
        "tests/shared/test_consumer.py"
        "::test_after_its_tries_an_event_is_dead_and_the_later_ones_of_its_key_are_parked[sqlite]",
    ),
    Mutant(
        "sealed-tail check",
        "services/funds/proofs/audit.py",
        (("if self.head.seq < self.checkpoint.size:", "if False:"),),
        "tests/funds/test_proofs.py::test_a_cut_tail_says_both_sizes[sqlite]",
    ),
    Mutant(
        "send evidence",
        "services/notify/outbound/domain.py",
        (("    if not silence_is_proof:\n", "    if False:\n"),),
        "tests/notify/test_notify_sender.py::test_without_evidence_a_person_decides",
    ),
    Mutant(
        "masking",
        "shared/pii.py",
        (
            (
                'return text[:head] + "*" * hidden + text[len(text) - tail :] if hidden > 0 else "*" * len(text)',
                "return text",
            ),
        ),
        "tests/notify/test_notify_contacts.py::test_phones_are_imported_and_shown_masked",
    ),
    Mutant(
        "token audience",
        "shared/auth.py",
        (("                options=_OPTIONS,\n", '                options={**_OPTIONS, "verify_aud": False},\n'),),
        "tests/shared/test_auth.py::TestVerify::test_a_token_for_another_audience_is_refused",
    ),
    Mutant(
        "key binding",
        "shared/pii.py",
        (('return f"{column}\\0{row}".encode()', 'return b""'),),
        "tests/shared/test_pii.py::TestVault::test_of_all_places_a_value_opens_at_its_own_alone",
    ),
    Mutant(
        "row limit",
        "shared/sheets/reader.py",
        (("if len(rows) > limits.rows:", "if False:"),),
        "tests/shared/test_sheets_refused.py::test_a_file_is_read_up_to_its_limit_of_rows_and_not_one_row_beyond",
    ),
)
