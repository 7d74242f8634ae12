"""Rows as JSON text, in both databases: what the trail's statements are put together from."""

# ruff: noqa: S608 - statements are put together from names of our own; what a caller says is a parameter


def array(columns: str, sqlite: bool) -> str:
    return f"{'json_array' if sqlite else 'json_build_array'}({columns})"


def listed(columns: str, rows: str, sqlite: bool) -> str:
    """An expression of SQL: the rows of a query (from `from` on) as one text, a JSON list of lists."""
    every = "json_group_array(json(one))" if sqlite else "json_agg(one)"
    return (
        f"(select cast(coalesce({every}, '[]') as text) from (select {array(columns, sqlite)} as one {rows}) as rows)"
    )


def first(columns: str, rows: str, sqlite: bool) -> str:
    """An expression of SQL: the first row of a query as a JSON list, NULL when there is none."""
    return f"(select cast({array(columns, sqlite)} as text) {rows} limit 1)"


def id_text(column: str, sqlite: bool) -> str:
    """A UUID as text; SQLite keeps its 32 digits."""
    if not sqlite:
        return column
    cuts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    return " || '-' || ".join(f"substr({column}, {start}, {length})" for start, length in cuts)
