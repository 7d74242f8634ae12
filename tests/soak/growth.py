"""How long each table keeps its rows. A table that grows and is not named here fails the soak; so does one that keeps them longer."""

from dataclasses import dataclass
from datetime import timedelta

from shared import retention
from shared.tables import LOOKS_KEPT


@dataclass(frozen=True, slots=True)
class Rule:
    """Why a table may grow. With `period`, rows whose `column` is older are deleted."""

    why: str
    period: timedelta | None = None
    column: str = ""


LATE = timedelta(days=2)
"""Of the county's time: so much later than due a row may go, as the clock of a soak moves in steps of half a day."""

PEOPLE = Rule("as large as the county: one row a household, person, post or place, changed in place")
HISTORY = Rule("kept for ever: how a household was, and as it was known, is part of its file (建档立卡)")
FACTS = Rule("kept for ever: what was done for a household, and what its scores rest on")
MONEY = Rule("kept for ever: money and its audit trail")
AUDIT = Rule("kept for ever: who did what; append-only")
SENT = Rule("kept for ever: what was prompted, sent and reported, week by week")
BY_PEOPLE = Rule("closed by a person (daohu events dlq), then kept as a record")

RULES: dict[str, Rule] = {
    # the kit's own, in each database
    "outbox": Rule("retention.PUBLISHED", retention.PUBLISHED, "published_at"),
    "inbox": Rule("retention.SEEN", retention.SEEN, "seen_at"),
    "idempotency": Rule("retention.ANSWERS", retention.ANSWERS, "at"),
    "dead_letter": BY_PEOPLE,
    "audit": AUDIT,
    "mandate": AUDIT,
    "look": Rule("tables.LOOKS_KEPT", LOOKS_KEPT, "at"),
    "import_file": Rule("kept for ever: one row a file; the file itself goes after retention.FILES"),
    # registry
    "division": PEOPLE,
    "household": PEOPLE,
    "member": PEOPLE,
    "member_identity": HISTORY,
    "household_history": HISTORY,
    "household_income": Rule("one row a household and year"),
    "measure": FACTS,
    "visit": FACTS,
    "case": FACTS,
    "case_act": AUDIT,
    "mandate_given": AUDIT,
    "mandate_ending": AUDIT,
    "erasure": AUDIT,
    # funds
    "ledger_account": MONEY,
    "ledger_sum": Rule("one row a fund, kind of account and division"),
    "ledger_summed": Rule("one row a book"),
    "ledger_book": MONEY,
    "ledger_entry": MONEY,
    "ledger_posting": MONEY,
    "log_node": MONEY,
    "log_checkpoint": MONEY,
    "log_cosignature": MONEY,
    "source": MONEY,
    "project": MONEY,
    "tranche": MONEY,
    "tranche_line": MONEY,
    "decision": AUDIT,
    "notice": AUDIT,
    "objection": AUDIT,
    "payee": HISTORY,
    # assessment
    "cadre": PEOPLE,
    "appointment": HISTORY,
    "annual_weight": AUDIT,
    "target": AUDIT,
    "fact": FACTS,
    "fact_withdrawal": AUDIT,
    "household_status": HISTORY,
    "score": Rule("kept for ever: each version of a score explains itself (docs/decisions/0010)"),
    "score_run": AUDIT,
    "score_decision": AUDIT,
    "score_night": Rule("one row a county and day"),
    # notify
    "alarm": SENT,
    "brief": SENT,
    "campaign_run": SENT,
    "console_message": SENT,
    "contact": PEOPLE,
    "inbound_message": SENT,
    "opt_out": AUDIT,
    "payment": MONEY,
    "place": PEOPLE,
    "prompt": SENT,
    "receipt": SENT,
    "recipient": PEOPLE,
    "report": SENT,
    "watched_county": PEOPLE,
}
