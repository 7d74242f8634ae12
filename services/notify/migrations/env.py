import services.notify.app  # every room's tables
from services.notify.tables import metadata
from shared import migrate

assert services.notify.app
migrate.run(metadata)
