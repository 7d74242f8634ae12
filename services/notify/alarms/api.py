"""Routes of alarms."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.notify.alarms import service
from services.notify.alarms.schemas import AlarmOut
from shared.http import Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

OFFICE = (Role.COUNTY_ADMIN, Role.POVERTY_OFFICE, Role.TOWN_OFFICE)

router = Router(prefix="/notify/v1/alarms", tags=["alarms"])


@router.get("", dependencies=[allow(*OFFICE)])
async def list_alarms(work: WorkDep, page: PageDep, only_open: Annotated[bool, Query()] = True) -> Page[AlarmOut]:
    """What somebody must look at (待办提醒), by kind and subject."""
    return await service.list_alarms(work, page, only_open=only_open)


@router.post("/{alarm_id}/acknowledgements", status_code=201, dependencies=[allow(*OFFICE)])
async def acknowledge(work: WorkDep, alarm_id: UUID) -> AlarmOut:
    """Somebody has seen it (已阅)."""
    return await service.acknowledge(work, alarm_id)
