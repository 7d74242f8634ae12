"""Migrations that work with the code now running: what each does to tables that are there, as squawk and two rules of ours see it.

The SQL is what PostgreSQL was really sent. A revision that must do a dangerous thing says so and why: `accepted = {rule: reason}`.
Rules: squawkhq.com/docs/rules, and `changes-rows` and `trigger-on-a-table-in-use` below. Decision: docs/decisions/0025.
"""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from alembic.script import Script, ScriptDirectory
from sqlalchemy import event

from services.catalogue import NAMES
from shared import migrate
from shared.db import Database

SQUAWK = Path(sys.executable).with_name("squawk")
POSTGRES = "15"
"""The oldest that docker-compose.yml and the tests meet."""

MATTERS_OF_TASTE = (
    "ban-char-field",
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-identity",
    "prefer-text-field",
    "prefer-timestamptz",
)
OF_MIGRATE = (
    "prefer-robust-stmts",  # each migration is one transaction
    "ban-concurrent-index-creation-in-transaction",  # PostgreSQL refuses it; autocommit_block() of alembic is the way
    "require-lock-timeout",  # shared.migrate sets it and tries again
    "require-statement-timeout",
)

_NAME = r'(?:ONLY )?"?(\w+)"?'
_MADE = re.compile(rf"^\s*CREATE TABLE (?:IF NOT EXISTS )?{_NAME}", re.IGNORECASE)
_OWN_RULES = {
    "changes-rows": re.compile(rf"^\s*(?:UPDATE|DELETE FROM|INSERT INTO) {_NAME}", re.IGNORECASE),
    "trigger-on-a-table-in-use": re.compile(
        rf"^\s*CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER .*? ON {_NAME}", re.IGNORECASE | re.DOTALL
    ),
}
_OF_INTEREST = re.compile(
    r"^\s*(CREATE|ALTER|DROP|TRUNCATE|UPDATE|DELETE|INSERT|LOCK|REINDEX|CLUSTER|VACUUM)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Revision:
    """A migration of a line (`kit` or a service), the statements it sends, and the dangers it accepts."""

    line: str
    script: Script
    statements: list[str]

    @property
    def name(self) -> str:
        return f"{self.line} {self.script.revision}"

    @property
    def accepted(self) -> dict[str, str]:
        return getattr(self.script.module, "accepted", {})


def dangers(statements: Sequence[str], folder: Path) -> set[str]:
    """The rules that a migration breaks. What it does to tables of its own making harms nobody."""
    file = folder / "migration.sql"
    file.write_text(";\n".join(statement.strip().rstrip(";") for statement in statements) + ";\n")
    line = [
        SQUAWK,
        "--reporter",
        "json",
        "--assume-in-transaction",
        "--pg-version",
        POSTGRES,
        "--exclude",
        ",".join(MATTERS_OF_TASTE + OF_MIGRATE),
        file,
    ]
    found = json.loads(subprocess.run(line, stdout=subprocess.PIPE, check=False).stdout)
    made = {match[1] for statement in statements if (match := _MADE.match(statement))}
    ours = {
        rule
        for rule, pattern in _OWN_RULES.items()
        for statement in statements
        if (match := pattern.match(statement)) and match[1] not in made
    }
    return {each["rule_name"] for each in found} | ours


async def revisions(service: str, url: str) -> list[Revision]:
    """The migrations of a service's database in the order they run, with what each sends to PostgreSQL."""
    database = Database(url, service=service)
    scripts = ScriptDirectory.from_config(migrate._config(service))
    sent: list[str] = []

    def note(_connection, _cursor, statement, *_rest) -> None:
        if _OF_INTEREST.match(statement) and f"{service}_version" not in statement:
            sent.append(statement)

    event.listen(database.writer.sync_engine, "before_cursor_execute", note)
    found = []
    for script in reversed(list(scripts.walk_revisions())):
        sent.clear()
        await migrate.upgrade(database, revision=script.revision)
        found.append(Revision(migrate._line(script.revision) or service, script, list(sent)))
    await database.close()
    return found


@pytest.mark.parametrize("service", sorted(NAMES))
async def test_no_migration_harms_the_code_now_running(service: str, postgres_url: str, tmp_path: Path):
    found = await revisions(service, postgres_url)
    assert all(revision.statements for revision in found)
    unsafe = {r.name: left for r in found if (left := dangers(r.statements, tmp_path) - r.accepted.keys())}
    assert unsafe == {}
    needless = {r.name: left for r in found if (left := r.accepted.keys() - dangers(r.statements, tmp_path))}
    assert needless == {}
    assert all(len(reason) > 20 for revision in found for reason in revision.accepted.values())


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("ALTER TABLE t ADD COLUMN a integer NOT NULL", "adding-required-field"),
        ("ALTER TABLE t ADD COLUMN a uuid NOT NULL DEFAULT gen_random_uuid()", "adding-field-with-default"),
        ("ALTER TABLE t ALTER COLUMN a TYPE text", "changing-column-type"),
        ("ALTER TABLE t ALTER COLUMN a SET NOT NULL", "adding-not-nullable-field"),
        ("ALTER TABLE t ALTER COLUMN a DROP NOT NULL", "ban-drop-not-null"),
        ("ALTER TABLE t DROP COLUMN a", "ban-drop-column"),
        ("ALTER TABLE t RENAME COLUMN a TO b", "renaming-column"),
        ("ALTER TABLE t RENAME TO u", "renaming-table"),
        ("DROP TABLE t", "ban-drop-table"),
        ("CREATE INDEX ix_t ON t (a)", "require-concurrent-index-creation"),
        ("DROP INDEX ix_t", "require-concurrent-index-deletion"),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)", "constraint-missing-not-valid"),
        ("ALTER TABLE t ADD CONSTRAINT u UNIQUE (a)", "disallowed-unique-constraint"),
        ("UPDATE t SET a = 1", "changes-rows"),
        ("CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()", "trigger-on-a-table-in-use"),
    ],
)
def test_a_dangerous_statement_is_seen(statement: str, rule: str, tmp_path: Path):
    assert rule in dangers([statement], tmp_path)


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE t (a bigint PRIMARY KEY)", "CREATE INDEX ix_t ON t (a)"],
        ["CREATE TABLE t (a bigint PRIMARY KEY)", "INSERT INTO t VALUES (1)"],
        ["ALTER TABLE t ADD COLUMN a integer"],
        ["ALTER TABLE t ADD COLUMN a integer NOT NULL DEFAULT 0"],
        ["ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID"],
        ["CREATE INDEX CONCURRENTLY ix_t ON t (a)"],
    ],
)
def test_what_only_adds_is_safe(statements: list[str], tmp_path: Path):
    assert dangers(statements, tmp_path) == set()
