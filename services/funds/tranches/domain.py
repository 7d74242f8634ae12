"""How a tranche is shared out, and when it may be paid. Pure."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from services.funds.approvals.domain import PAY, Chain, Decision, require_approved, require_other_person, require_payer
from services.funds.ledger.domain import MAX_POSTINGS, AccountKey, AccountKind, InsufficientFunds, Posting, canonical
from services.funds.payees.domain import Payee
from services.funds.publicity.domain import Notice, require_publicity
from shared.errors import FieldError, Refusal
from shared.money import share_out, split_by_source, yuan
from shared.roles import Caller

ERRORS_SHOWN = 20
"""Households named in one refusal; `count` says how many there are."""


class Basis(StrEnum):
    """What a household's share is measured by (分配依据)."""

    PEOPLE = "people"  # 按人口
    HOUSEHOLDS = "households"  # 按户
    WEIGHTS = "weights"  # 按权重, e.g. mu planted or animals raised


class TrancheNumberTaken(Refusal):
    code = "tranche_no_taken"


class TrancheTooLarge(Refusal):
    code = "tranche_too_large"


class NobodyToPay(Refusal):
    code = "nobody_to_pay"


class ShareTooSmall(Refusal):
    code = "share_too_small"


class NotHeld(Refusal):
    code = "not_held"


class AlreadyHeld(Refusal):
    code = "already_held"


class AlreadyPaid(Refusal):
    code = "already_paid"


class Voided(Refusal):
    code = "voided"


class PayeeMissing(Refusal):
    code = "payee_missing"


class CardTwice(Refusal):
    code = "card_paid_twice"


class ListChanged(Refusal):
    """The rows are no longer what was published and decided on."""

    code = "list_changed"


@dataclass(frozen=True, slots=True)
class Claim:
    """A household that is to get a share: its size and, for the basis `weights`, its weight."""

    household_no: str
    division: str
    head_name_masked: str
    people: int
    weight: int


@dataclass(frozen=True, slots=True)
class Line:
    """One household's share (到户金额): the whole in fen, and how much of it each fund pays."""

    household_no: str
    division: str
    head_name_masked: str
    people: int
    weight: int
    amount_fen: int
    shares: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Draft:
    """A list ready to be decided on: its lines by household number, what each fund pays, and the digest of all of it."""

    lines: tuple[Line, ...]
    funds: Mapping[str, int]
    digest: str

    @property
    def people(self) -> int:
        return sum(line.people for line in self.lines)


def weight_of(basis: Basis, people: int, weight: int) -> int:
    """What the share is measured by."""
    return {Basis.PEOPLE: people, Basis.HOUSEHOLDS: 1, Basis.WEIGHTS: weight}[basis]


def draft(tranche_no: str, amount_fen: int, claims: Sequence[Claim], funds_left_fen: Mapping[str, int]) -> Draft:
    """Shares a sum out to households by largest remainder, and each share over the project's funds in proportion to their rest.

    No fen is lost: lines add up to the sum, and over all lines each fund pays its total. Order: by household number.
    Raises NobodyToPay, TrancheTooLarge, InsufficientFunds (with `available_fen`), ShareTooSmall.
    """
    claims = sorted(claims, key=lambda claim: claim.household_no)
    if not claims:
        raise NobodyToPay("No household on the register is named. Correct the list or the division.")
    funds = {fund_no: fen for fund_no, fen in sorted(funds_left_fen.items()) if fen > 0}
    available = sum(funds.values())
    if amount_fen > available:
        raise InsufficientFunds(
            f"The project has {yuan(available)} yuan left. Allocate more, or ask for less.",
            available_fen=available,
            needed_fen=amount_fen,
        )
    if (len(claims) + 1) * len(funds) > MAX_POSTINGS:
        raise TrancheTooLarge(
            f"One payment holds at most {MAX_POSTINGS // len(funds) - 1} households from {len(funds)} funds. Make several tranches."
        )
    weights = [claim.weight for claim in claims]
    amounts = share_out(amount_fen, weights) if sum(weights) else [0] * len(claims)
    if empty := [claim.household_no for claim, amount in zip(claims, amounts, strict=True) if not amount]:
        raise ShareTooSmall(
            "Some households would get nothing. Leave them out, or ask for more.",
            errors=_named(empty, "share_too_small", "Its share is less than one fen."),
            count=len(empty),
        )
    by_fund = dict(zip(funds, share_out(amount_fen, list(funds.values())), strict=True))
    rows = split_by_source(amounts, list(by_fund.values()))
    lines = tuple(
        Line(
            claim.household_no,
            claim.division,
            claim.head_name_masked,
            claim.people,
            claim.weight,
            amount,
            {fund_no: fen for fund_no, fen in zip(by_fund, row, strict=True) if fen},
        )
        for claim, amount, row in zip(claims, amounts, rows, strict=True)
    )
    by_fund = {fund_no: fen for fund_no, fen in by_fund.items() if fen}
    return Draft(lines, by_fund, digest_of(tranche_no, lines))


def digest_of(tranche_no: str, lines: Sequence[Line]) -> str:
    """SHA-256 (hex) of the list as it is published, decided on and paid."""
    said = {
        "tranche_no": tranche_no,
        "lines": [
            [x.household_no, x.division, x.head_name_masked, x.people, x.weight, x.amount_fen, dict(x.shares)]
            for x in lines
        ],
    }
    return hashlib.sha256(canonical(said)).hexdigest()


def hold_postings(project_no: str, tranche_no: str, division: str, funds: Mapping[str, int]) -> tuple[Posting, ...]:
    """Sets the tranche's money aside: no other tranche of the project can promise it again."""
    return tuple(
        Posting(AccountKey(kind, owner, fund_no), sign * fen, division)
        for fund_no, fen in sorted(funds.items())
        for kind, owner, sign in ((AccountKind.PROJECT, project_no, -1), (AccountKind.HOLD, tranche_no, 1))
    )


def void_postings(project_no: str, tranche_no: str, division: str, funds: Mapping[str, int]) -> tuple[Posting, ...]:
    """Gives the held money back to the project."""
    return tuple(
        Posting(posting.account, -posting.amount_fen, posting.division)
        for posting in hold_postings(project_no, tranche_no, division, funds)
    )


def payment_postings(
    tranche_no: str, division: str, funds: Mapping[str, int], lines: Sequence[Line]
) -> tuple[Posting, ...]:
    """Pays the hold out to the households, each fen under the earmark it came with."""
    out = [
        Posting(AccountKey(AccountKind.HOLD, tranche_no, fund_no), -fen, division)
        for fund_no, fen in sorted(funds.items())
    ]
    paid = [
        Posting(AccountKey(AccountKind.HOUSEHOLD, line.household_no, fund_no), fen, line.division)
        for line in lines
        for fund_no, fen in sorted(line.shares.items())
    ]
    return (*out, *paid)


def require_payable(
    *,
    notice: Notice | None,
    today: date,
    chain: Chain,
    decisions: Sequence[Decision],
    payer: Caller,
    division: str,
    prepared: Iterable[tuple[str, str]],
    held: bool,
    tranche_no: str,
    listed: str,
    lines: Sequence[Line],
    payees: Mapping[str, Payee],
) -> Notice:
    """The only door from held to paid (拨付条件), for the paying role and the county administrator alike.

    `division`: where the tranche lies, 12 digits. `listed`: the digest under which the list was applied for. `prepared`: what was done
    beside the chain, and by whom.
    Source: FND-019, FND-028, FND-031; ledger-and-audit.md 4.
    Raises, in this order: NotPublished, PublicityNotElapsed, ObjectionOpen, ObjectionUpheld, Rejected, NotApproved,
    NotYourStep (403), SamePerson, ListChanged, NotHeld, PayeeMissing, CardTwice.
    """
    shown = require_publicity(notice, today)
    require_approved(chain, decisions)
    require_payer(chain, payer, division)
    require_other_person(chain, decisions, PAY, payer.subject, prepared)
    if not digest_of(tranche_no, lines) == listed == shown.digest:
        raise ListChanged("The list differs from what was published. Void this tranche and apply anew.")
    if not held:
        raise NotHeld("Its money is not set aside yet. Let finance post the hold first.")
    require_payees(lines, payees)
    return shown


def require_payees(lines: Sequence[Line], payees: Mapping[str, Payee]) -> None:
    """Every household has an account, and no two share one. Raises PayeeMissing, CardTwice."""
    if missing := [line.household_no for line in lines if line.household_no not in payees]:
        raise PayeeMissing(
            f"{len(missing)} households have no account. Import their payees first.",
            errors=_named(missing, "payee_missing", "Import its account."),
            count=len(missing),
        )
    times = Counter(payees[line.household_no].card_blind for line in lines)
    if twice := [line.household_no for line in lines if times[payees[line.household_no].card_blind] > 1]:
        raise CardTwice(
            "One bank card would be paid for several households. Find out whose it is and correct the payees.",
            errors=_named(twice, "card_paid_twice", "Its card is another household's too."),
            count=len(twice),
        )


def _named(household_nos: Sequence[str], code: str, message: str) -> list[FieldError]:
    return [FieldError(f"household:{number}", code, message) for number in household_nos[:ERRORS_SHOWN]]


def payees_said(lines: Sequence[Line], payees: Mapping[str, Payee]) -> list[list[str | int]]:
    """What the entry binds of each account paid to: household, people, masked names, last four digits, blind index."""
    return [
        [
            line.household_no,
            line.people,
            line.head_name_masked,
            payees[line.household_no].name_masked,
            payees[line.household_no].card_last4,
            payees[line.household_no].card_blind,
        ]
        for line in lines
        if line.household_no in payees
    ]
