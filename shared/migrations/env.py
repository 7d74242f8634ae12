from sqlalchemy import MetaData

from shared import migrate

migrate.run(MetaData())
