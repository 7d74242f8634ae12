import services.funds.app  # every room's tables
from services.funds.tables import metadata
from shared import migrate

assert services.funds.app
migrate.run(metadata)
