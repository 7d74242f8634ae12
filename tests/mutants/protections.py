"""The protections, and how each is turned off. A mutant is data: the text that protects, what stands in its place, the test that must fail.

The text occurs exactly once in its file, or the mutant is stale and `make mutants` says so: whoever rewrites a protection
rewrites its mutant. The test is one that fails by an assertion of its own, so none that ends in `pytest.raises`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """`protection`: its name in docs/security.md. `edits`: (text, what stands in its place), all in one file."""

    protection: str
    file: str
    edits: tuple[tuple[str, str], ...]
    test: str


NAMED = (
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
        (("if same_side(person, chain.excluded(act, decisions, prepared)):", "if False:"),),
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
"""Those that issue 5 names."""

MORE = (
    Mutant(
        "role gate",
        "shared/http.py",
        (("if caller.roles.isdisjoint(self.roles):", "if False:"),),
        "tests/shared/test_http.py::test_the_county_administrator_has_no_right_that_is_not_named",
    ),
    Mutant(
        "scope in feeds",
        "shared/outbox.py",
        (
            (
                ".where(c.topic == topic, c.position > after, in_area(c.division, area))",
                ".where(c.topic == topic, c.position > after)",
            ),
        ),
        "tests/shared/test_outbox.py::test_the_feed_of_another_area_or_topic_is_empty[sqlite]",
    ),
    Mutant(
        "token client",
        "shared/oidc.py",
        (("if config.only_clients is not None and client not in config.only_clients:", "if False:"),),
        "tests/shared/test_oidc.py::TestDescription::test_a_token_that_a_provider_gave_to_another_program_does_not_count[named0-token_beyond_issuer]",
    ),
    Mutant(
        "names of others",
        "shared/oidc.py",
        (("if on_record.casefold().startswith(self._not_its):", "if False:"),),
        "tests/shared/test_oidc.py::TestDescription::test_no_provider_speaks_under_the_names_of_another_or_of_accounts[city/li-token_subject-sub]",
    ),
    Mutant(
        "token expiry",
        "shared/auth.py",
        (
            (
                "        if now >= expires:\n            raise TokenRefused",
                "        if False:\n            raise TokenRefused",
            ),
        ),
        "tests/shared/test_auth.py::TestTime::test_a_token_seen_for_the_first_time_after_its_expiry_is_refused",
    ),
    Mutant(
        "revocation",
        "shared/auth.py",
        (("if self._revoked.covers(caller.subject, token_id, issued):", "if False:"),),
        "tests/shared/test_auth.py::TestRevocation::test_one_token_is_revoked_by_its_id",
    ),
    Mutant(
        "rate of a caller",
        "shared/limits.py",
        (("        if wait:\n", "        if False:\n"),),
        "tests/shared/test_limits.py::test_a_caller_may_ask_so_often_and_others_go_on",
    ),
    Mutant(
        "days of a mandate",
        "shared/mandates.py",
        (("        m.until >= today,\n", ""),),
        "tests/registry/test_mandates.py::test_it_holds_from_its_first_to_its_last_day_in_the_county[the day after]",
    ),
    Mutant(
        "area of an engagement",
        "shared/mandates.py",
        (
            (
                "return replace(caller, roles=frozenset({Role.AUDITOR}), area=area), engagement.id",
                "return replace(caller, roles=frozenset({Role.AUDITOR})), engagement.id",
            ),
        ),
        "tests/registry/test_auditor.py::test_an_auditor_sees_what_lies_in_his_engagement_and_in_his_token[sqlite]",
    ),
    Mutant(
        "record of looks",
        "shared/seen/record.py",
        (("        await store.add(tx, seen)\n", ""),),
        "tests/registry/test_auditor.py::test_what_cannot_be_recorded_is_not_answered[sqlite]",
    ),
    Mutant(
        "published list",
        "services/funds/tranches/domain.py",
        (("if not digest_of(tranche_no, lines) == listed == shown.digest:", "if False:"),),
        "tests/funds/test_tranches.py::test_a_list_changed_behind_our_back_is_not_paid",
    ),
    Mutant(
        "opt-out",
        "services/notify/outbound/domain.py",
        (("    if opted_out:\n", "    if False:\n"),),
        "tests/notify/test_notify_sender.py::test_who_opts_out_between_planning_and_sending_gets_nothing",
    ),
    Mutant(
        "bound approvals",
        "services/funds/proofs/audit.py",
        (("                await acts.check(self.source, self.book, self.bound, self.report, self.unopened)\n", ""),),
        "tests/funds/test_proofs_insider.py::test_a_changed_approval_names_the_entry_that_it_let_through[sqlite-who]",
    ),
    Mutant(
        "bound lists",
        "services/funds/proofs/stretch.py",
        (("            await self._check_lists(posted)\n", "            self.listed = {}\n"),),
        "tests/funds/test_proofs_insider.py::test_a_changed_list_project_or_account_names_the_entry_that_binds_it[sqlite-share]",
    ),
    Mutant(
        "compare and set",
        "shared/rotation.py",
        (('column == bindparam("r_old"))', 'bindparam("r_old") == bindparam("r_old"))'),),
        "tests/shared/test_rotation.py::test_whoever_writes_between_reading_and_renewing_wins[sqlite]",
    ),
    Mutant(
        "older indexes",
        "shared/pii.py",
        (("for tag, key in keys[1:])", "for tag, key in keys[:0])"),),
        "tests/shared/test_keyring.py::TestFollowing::test_an_index_has_its_older_forms_until_the_older_key_is_retired",
    ),
    Mutant(
        "erased history",
        "services/registry/households/erasure.py",
        (('_without(line["changes"], number)', 'line["changes"]'),),
        "tests/registry/test_erasure.py::test_nothing_of_the_person_is_left_and_the_history_says_who_erased_it[sqlite]",
    ),
)

MUTANTS = NAMED + MORE
