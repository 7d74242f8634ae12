import services.assessment.app  # every room's tables
from services.assessment.tables import metadata
from shared import migrate

assert services.assessment.app
migrate.run(metadata)
