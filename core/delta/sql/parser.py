"""The parser: one SELECT in Databricks SQL, the tables that it reads, and the columns that it names of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope
from sqlglot.tokenizer_core import TokenType

from core.errors import BadQuery, first_line

DIALECT = "databricks"


def parse(sql: str) -> exp.Query:
    """Return the one SELECT in *sql*. Raises BadQuery."""
    try:
        tokens = sqlglot.tokenize(sql, read=DIALECT)
        statements = [statement for statement in sqlglot.parse(sql, read=DIALECT) if statement is not None]
    except SqlglotError as error:
        raise BadQuery("The SQL cannot be parsed: {reason}.", reason=first_line(error)) from error
    except RecursionError as error:
        raise BadQuery("The SQL is nested too deeply. Simplify the query.") from error
    if any(token.token_type is TokenType.PARAMETER for token in tokens):
        # sqlglot reads t@v3 as an alias, which would silently query the latest version.
        raise BadQuery("@ is not valid in SQL here. Write FROM table VERSION AS OF 3 to read an older version.")
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise BadQuery("Write one SELECT statement. No other statement runs here.")
    query = statements[0]
    if query.find(exp.Into, exp.Command, exp.Insert, exp.Update, exp.Delete, exp.Create, exp.Drop) is not None:
        raise BadQuery("Write one SELECT statement. No other statement runs here.")
    if query.find(exp.TableSample) is not None:
        raise BadQuery("TABLESAMPLE is not supported here. Use LIMIT, or filter the rows with WHERE.")
    return query


def tables_of(query: exp.Query) -> list[exp.Table]:
    """Return the references to registered tables, in the order of the text; names of a WITH are left out.

    A name means the table within the body of the WITH that defines the same name, as in Databricks SQL, unless the
    WITH is recursive. Raises BadQuery for everything else that can follow FROM.
    """
    tables = []
    for table in query.find_all(exp.Table, bfs=False):
        if not isinstance(table.this, exp.Identifier):
            raise BadQuery("Table functions are not supported here. Name a registered table after FROM.")
        if table.db or table.catalog:
            raise BadQuery(
                "{table}: name a registered table, without a schema or a path.", table=table.sql(dialect=DIALECT)
            )
        if table.args.get("version") is not None or not _is_defined_by_with(table):
            tables.append(table)
    return tables


def named_columns(query: exp.Query, columns: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the columns that *query* names of each table in *columns* (all columns per table), in the table's order.

    A table of which the query names no column, as count(*) does, keeps its first column. All columns are returned
    where the query cannot be resolved: the database then reports why.
    """
    used = None if _depends_on_all_columns(query) else _used(query, columns)
    if used is None:
        return {table: list(names) for table, names in columns.items()}
    return {
        table: [name for name in names if name.lower() in used[table]] or list(names[:1])
        for table, names in columns.items()
    }


def _depends_on_all_columns(query: exp.Query) -> bool:
    """Whether columns that the query does not name change its result."""
    if query.find(exp.Pivot) is not None or any(join.method == "NATURAL" for join in query.find_all(exp.Join)):
        return True
    return any(table.alias_column_names for table in query.find_all(exp.Table))


def _used(query: exp.Query, columns: Mapping[str, Sequence[str]]) -> dict[str, set[str]] | None:
    """Lower-case names of the columns per table; None where a column cannot be assigned to a table."""
    schema: dict[str, object] = {table: dict.fromkeys(names, "STRING") for table, names in columns.items()}
    used: dict[str, set[str]] = {table: set() for table in columns}
    try:
        resolved = qualify(query.copy(), dialect=DIALECT, schema=schema, validate_qualify_columns=False)
        for scope in traverse_scope(resolved):
            tables = {alias: source.name for alias, source in scope.sources.items() if isinstance(source, exp.Table)}
            for column in scope.columns:
                if column.table in tables:
                    used[tables[column.table]].add(column.name.lower())
                elif not column.table and tables:
                    return None
            if any(isinstance(star.parent, exp.Select | exp.Column) for star in scope.find_all(exp.Star)):
                return None
    except (SqlglotError, RecursionError, KeyError):
        return None
    return used


def _is_defined_by_with(table: exp.Table) -> bool:
    """Whether the name of *table* is a name of a WITH at this place of the query."""
    name = table.name.lower()
    child: exp.Expr = table
    node = table.parent
    while node is not None:
        if isinstance(node, exp.With):
            ctes = node.expressions
            position = next(number for number, cte in enumerate(ctes) if cte is child)
            visible = ctes[: position + 1] if node.args.get("recursive") else ctes[:position]
        elif isinstance(child, exp.With):
            visible = []  # seen from inside of the WITH, where the case above has answered
        else:
            visible = node.args["with_"].expressions if node.args.get("with_") else []
        if any(cte.alias.lower() == name for cte in visible):
            return True
        child, node = node, node.parent
    return False
