"""Use cases of statistics: every number is counted when it is asked for, in the caller's area."""

from sqlalchemy import RowMapping

from services.registry.measures.domain import read_catalogue
from services.registry.statistics import domain, store
from services.registry.statistics.schemas import CountOut, DivisionOut, HouseholdsOut, PathwayOut, PathwaysOut
from shared.scope import Area, Level
from shared.work import Work


async def count_pathways(work: Work, *, scope: str | None, year: int | None, division: str | None) -> PathwaysOut:
    """Households and people of each pathway and sub-category. Source: REG-032; policy-rules.md 7.1.

    Raises: ScopeUnknown, DivisionNeeded, PolicyMissing.
    """
    year = year or work.today.year
    on = domain.counted_on(year, work.today)
    county = domain.county_of(division, work.caller.divisions)
    catalogue = read_catalogue(work.policies.value("registry.pathways", county, on))
    asked = domain.scopes_asked(catalogue, scope)
    keys = [(pathway.key, its_scope) for pathway, its_scope in asked]
    within = Area.of([division]) if division else None
    rows = await store.count_pathways(work.tx, work.area, within=within, asked=keys, year=year, on=on)
    count_of = {(row["pathway"], row["sub"]): row for row in rows}
    pathways = {}
    for pathway, its_scope in asked:
        whole = _count(count_of.get((pathway.key, None)), in_persons=False)
        subs = {
            sub.name: _count(count_of.get((pathway.key, sub.key)), in_persons=sub.in_persons) for sub in pathway.subs
        }
        pathways[pathway.key] = PathwayOut(
            name=pathway.name,
            name_en=pathway.name_en,
            scope=its_scope,
            year=year,
            households=whole.households,
            people=whole.people,
            subs=subs,
        )
    return PathwaysOut(pathways=pathways)


async def count_households(work: Work, *, level: Level, division: str | None) -> HouseholdsOut:
    """Households and people by division of a level and by status."""
    within = Area.of([division]) if division else None
    rows = await store.count_households(work.tx, work.area, within=within, level=level)
    by_division: dict[str, dict[str, CountOut]] = {}
    for row in rows:
        statuses = by_division.setdefault(row["start"].ljust(12, "0"), {})
        statuses[row["status"]] = CountOut(households=row["households"], people=row["people"])
    divisions = [
        DivisionOut(division=code, statuses=statuses, total=_sum(list(statuses.values())))
        for code, statuses in by_division.items()
    ]
    return HouseholdsOut(level=level, divisions=divisions, total=_sum([division.total for division in divisions]))


def _count(row: RowMapping | None, *, in_persons: bool) -> CountOut:
    if row is None:
        return CountOut(households=0, people=0)
    return CountOut(households=row["households"], people=row["persons" if in_persons else "people"])


def _sum(counts: list[CountOut]) -> CountOut:
    return CountOut(households=sum(c.households for c in counts), people=sum(c.people for c in counts))
