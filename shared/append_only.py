"""Rows that are added and read, never changed: triggers refuse every UPDATE and DELETE, whoever asks, on both databases.

Who owns the database can still go around them (drop a trigger; INSERT OR REPLACE on SQLite): that is what the signed log is for.

`protect(table)` beside the table's definition says so; tests' `create_all` and the migrations make the same triggers.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import DDL, Table, event

DIALECTS = ("sqlite", "postgresql")


def protect(table: Table, *, but: str = "", opened: str = "", kept: timedelta | None = None) -> None:
    """Makes a table append-only (只增不改). `but` names the one column that may be updated: always, or while `opened` holds,
    a condition in SQL that knows the row as `old`.

    `kept`: rows whose `at` is older than this by the database's own clock may be deleted.
    """
    table.info["append_only"] = True
    columns = [column.name for column in table.columns if column.name != but]
    for dialect in DIALECTS:
        extra = only_while(dialect, table.name, but, opened) if opened else []
        for statement in [*ddl(dialect, table.name, columns, kept=kept), *extra]:
            escaped = statement.replace("%", "%%")
            event.listen(table, "after_create", DDL(escaped).execute_if(dialect=dialect))  # type: ignore[no-untyped-call]


def ddl(dialect: str, table: str, columns: Sequence[str], *, kept: timedelta | None = None) -> list[str]:
    """The triggers that refuse every DELETE (with `kept`: of a younger row), and every UPDATE of these columns."""
    message, listed = f"{table} is append-only", ", ".join(f'"{name}"' for name in columns)
    if dialect == "sqlite":
        refuse = f"begin select raise(abort, '{message}'); end"
        young = f"when old.at > strftime('%Y-%m-%dT%H:%M:%f', 'now', '-{kept.days} days') " if kept else ""
        return [
            f"create trigger {table}_no_delete before delete on {table} {young}{refuse}",
            f"create trigger {table}_no_update before update of {listed} on {table} {refuse}",
        ]
    function = f"{table}_append_only"
    young = f"when (old.at > now() - interval '{kept.days} days') " if kept else ""
    return [
        f"create or replace function {function}() returns trigger language plpgsql as "
        f"$$ begin raise exception '{message}'; end $$",
        f"create trigger {table}_no_delete before delete on {table} for each row {young}execute function {function}()",
        f"create trigger {table}_no_truncate before truncate on {table} execute function {function}()",
        f"create trigger {table}_no_update before update of {listed} on {table} for each row execute function {function}()",
    ]


def only_while(dialect: str, table: str, column: str, condition: str) -> list[str]:
    """The trigger that refuses an UPDATE of a column unless a condition in SQL holds, which knows the row as `old`."""
    message, name = f"{table} is append-only", f"{table}_{column}_closed"
    if dialect == "sqlite":
        refuse = f"begin select raise(abort, '{message}'); end"
        return [f'create trigger {name} before update of "{column}" on {table} when not ({condition}) {refuse}']
    return [
        f"create or replace function {name}() returns trigger language plpgsql as "
        f"$$ begin if not ({condition}) then raise exception '{message}'; end if; return new; end $$",
        f'create trigger {name} before update of "{column}" on {table} for each row execute function {name}()',
    ]
