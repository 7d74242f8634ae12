"""The rows and bytes of an import are bounded by the settings, at their edge."""

import pytest

from services.registry.api import ROUTERS
from services.registry.settings import Settings
from services.registry.tables import metadata
from shared.roles import Role
from shared.testing import COUNTY, TOWN, running, settings_for

ROW = f"{TOWN},试验镇,镇,{COUNTY}\n"
FILE = ("行政区划代码,名称,级别,上级代码\n" + ROW * 3).encode()


@pytest.mark.parametrize(
    ("limit", "status", "code"),
    [
        ({"max_import_rows": 3}, 201, None),
        ({"max_import_rows": 2}, 413, "too_many_rows"),
        ({"max_import_bytes": len(FILE)}, 201, None),
        ({"max_import_bytes": len(FILE) - 1}, 413, "too_large"),
    ],
)
async def test_a_file_of_the_limit_is_read_and_a_larger_one_is_not(tmp_path, limit, status, code):
    async with running(settings_for(Settings, tmp_path, **limit), metadata, ROUTERS) as live:
        office = live.as_(Role.STATISTICS)
        answer = await office.post("/registry/v1/imports/divisions?dry_run=true", content=FILE)
    assert (answer.status_code, answer.json().get("code")) == (status, code)
