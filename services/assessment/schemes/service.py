"""Use cases of schemes: what is in force, and the weight of poverty work in the year's assessment."""

from dataclasses import asdict, dataclass
from typing import Any

from services.assessment.periods.domain import last_day
from services.assessment.schemes import domain, store
from services.assessment.schemes.domain import Grade, Kind, Scheme, Units
from services.assessment.schemes.schemas import GradeOut, SchemeOut, SchemesOut, WeightIn, WeightOut
from shared.errors import NotFound, Stale
from shared.http import Match, Page, PageQuery, Small, decode_cursor, encode_cursor, page_of
from shared.scope import Level, level_of
from shared.work import Work


@dataclass(frozen=True, slots=True)
class InForce:
    """What a county's subjects are assessed by in a period."""

    schemes: dict[Kind, Scheme]
    grades: tuple[Grade, ...]
    source: str
    basis: str


def in_force(work: Work, county: str, period: str) -> InForce:
    """The schemes and grades of a county on the last day of a period. Raises PolicyMissing."""
    on = last_day(period)
    policy = work.policies.explain("assessment.scheme", county, on)
    ids = {kind: f"{policy.place}.{kind}.{policy.effective_from}" for kind in Kind}
    return InForce(
        schemes={kind: domain.scheme(kind, policy.value, ids[kind]) for kind in Kind},
        grades=domain.grades(work.policies.value("assessment.grades", county, on)),
        source=policy.source,
        basis=policy.basis,
    )


def show(work: Work, county: str, period: str) -> SchemesOut:
    """What is in force, with its source. Raises NotFound (outside the area), PolicyMissing."""
    _require_inside(work, county)
    force = in_force(work, county, period)
    return SchemesOut(
        division=county,
        period=period,
        source=force.source,
        basis=force.basis,
        schemes=[SchemeOut.model_validate(asdict(scheme)) for scheme in force.schemes.values()],
        grades=[GradeOut.model_validate(asdict(grade)) for grade in force.grades],
        weight_min={units: _least(work, county, last_day(period).year, units) for units in Units},
    )


async def enter_weight(work: Work, order: WeightIn, match: Match) -> WeightOut:
    """Enters a year's weight, or changes it (then If-Match is needed). Source: ASM-010.

    Raises NotFound (outside the area), WeightTooLow, PolicyMissing, PreconditionRequired, Stale.
    """
    _require_inside(work, order.division)
    domain.require_weight(order.percent, _least(work, order.division, order.year, order.units), order.units)
    before = await store.find(work.tx, order.division, order.year, order.units, work.area)
    row: dict[str, Any] = {**order.model_dump(), "actor": work.caller.subject, "at": work.now}
    row["version"] = 1 if before is None else before["version"] + 1
    if before is None:
        done = await store.add(work.tx, row)
    else:
        match(before["version"])
        done = await store.change(work.tx, row, version=before["version"])
    if not done:
        raise Stale("Somebody changed it since you read it. Read it again.")
    return WeightOut(**row)


async def list_weights(work: Work, page: PageQuery, *, year: int | None) -> Page[WeightOut]:
    after = tuple(decode_cursor(page.after, str, Small, str)) if page.after else None
    rows = await store.page(work.tx, work.area, year=year, after=after, limit=page.limit + 1)
    items, following = page_of(
        [WeightOut.model_validate(row) for row in rows],
        page.limit,
        lambda weight: encode_cursor(weight.division, weight.year, weight.units.value),
    )
    return Page(items=items, next=following)


def _least(work: Work, county: str, year: int, units: Units) -> int:
    least: dict[str, int] = work.policies.value("assessment.weight_min", county, last_day(f"{year}-12"))
    return least[units]


def _require_inside(work: Work, county: str) -> None:
    if not work.area.covers(county) or level_of(county) is not Level.COUNTY:
        raise NotFound("There is no such county in your area.")
