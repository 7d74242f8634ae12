"""Route of the simulated phones."""

from services.notify.phones import service
from services.notify.phones.schemas import MessageOut
from shared.http import Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

router = Router(prefix="/notify/v1/phones", tags=["phones"])


@router.get("/{cadre_no}/messages", dependencies=[allow(Role.COUNTY_ADMIN, Role.POVERTY_OFFICE)])
async def show(work: WorkDep, cadre_no: str, page: PageDep) -> Page[MessageOut]:
    """What the console gateway has put on a cadre's phone (模拟手机). Empty behind a real gateway."""
    return await service.show(work, cadre_no, page)
