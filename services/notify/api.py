"""The routers of notify's rooms."""

from services.notify.alarms import api as alarms
from services.notify.briefs import api as briefs
from services.notify.contacts import api as contacts
from services.notify.contacts.imports import KIND as CONTACTS
from services.notify.outbound import api as outbound
from services.notify.phones import api as phones
from services.notify.replies import api as replies
from services.notify.weeks import api as weeks
from shared.imports.api import router as imports
from shared.seen.api import router as looks

ROUTERS = (
    imports("notify", (CONTACTS,)),
    contacts.router,
    briefs.router,
    outbound.router,
    phones.router,
    replies.router,
    weeks.router,
    alarms.router,
    looks("notify"),
)
