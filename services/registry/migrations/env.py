import services.registry.app  # every room's tables
from services.registry.tables import metadata
from shared import migrate

assert services.registry.app
migrate.run(metadata)
