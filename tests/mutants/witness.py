"""A pytest plugin: how each test ended, and from which files the code under test came. Writes JSON to $DAOHU_MUTANT_WITNESS.

Only an assert that stands in the test's own file counts as `asserted`: what breaks on the way (an import, a fixture, the code
under test itself, an exception that was expected and did not come) says nothing of the protection.
"""

import json
import os
import sys
from pathlib import Path

import pytest

PASSED, ASSERTED = "passed", "asserted"

_outcomes: dict[str, str] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.excinfo is None:
        _outcomes.setdefault(item.nodeid, PASSED)
    elif (
        call.when == "call"
        and call.excinfo.type is AssertionError
        and Path(call.excinfo.traceback[-1].path) == item.path
    ):
        _outcomes[item.nodeid] = ASSERTED
    else:
        _outcomes[item.nodeid] = f"{call.excinfo.type.__name__} in its {call.when}"
    return report


def pytest_sessionfinish():
    files = {
        name: file
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in ("services", "shared") and (file := getattr(module, "__file__", None))
    }
    Path(os.environ["DAOHU_MUTANT_WITNESS"]).write_text(json.dumps({"outcomes": _outcomes, "files": files}))
