"""Functions of Databricks SQL in DuckDB: verified to mean the same, translated, or refused by name.

tests/spark/test_sql_functions.py compares every verified and translated function with Spark.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlglot
from sqlglot import exp

from core.errors import BadQuery

# sqlglot's keys of functions (and names that it does not know) whose meaning in DuckDB is Spark's.
VERIFIED = frozenset(
    [
        *("abs", "addmonths", "and", "anyvalue", "approxdistinct", "approxquantile", "argmax", "argmin", "array"),
        *("arrayagg", "arraycontains", "arrayfilter", "arraymax", "arraymin", "arrayposition", "arraysize"),
        *("arrayslice", "arraysort", "arraytostring", "arrayuniqueagg", "ascii", "asin", "atan2", "avg", "bin"),
        *("bitlength", "bitwiseandagg", "bitwisecount", "bitwiseoragg", "bitwisexoragg", "cardinality", "case", "cast"),
        *("cbrt", "ceil", "chr", "coalesce", "concat", "concatws", "contains", "corr", "cos", "count", "countif"),
        *("covarpop", "covarsamp", "cumedist", "currentdate", "currenttimestamp", "day", "dayofmonth", "dayofyear"),
        *("decodecase", "degrees", "denserank", "endswith", "equalnull", "exp", "explode", "factorial", "first"),
        *("firstvalue", "flatten", "floor", "generateseries", "greatest", "groupconcat", "hex", "hour", "if"),
        *("initcap", "isnan", "jsonextractscalar", "lag", "last", "lastday", "lastvalue", "lead", "least", "left"),
        *("length", "levenshtein", "ln", "log", "logicaland", "logicalor", "lower", "make_date", "map_values"),
        *("mapkeys", "max", "md5", "median", "min", "minute", "mod", "mode", "month", "monthsbetween", "nextday"),
        *("nthvalue", "ntile", "nullif", "nvl2", "or", "overlay", "pad", "percentilecont", "percentiledisc"),
        *("percentrank", "pi", "pow", "quarter", "radians", "rand", "rank", "reduce", "regexpextract", "regexplike"),
        *("regexpreplace", "regexpsplit", "regrslope", "repeat", "replace", "reverse", "right", "round", "rownumber"),
        *("safedivide", "second", "sha", "sha2", "sign", "sin", "sinh", "space", "splitpart", "sqrt", "startswith"),
        *("stddev", "stddevpop", "stddevsamp", "strposition", "strtotime", "struct", "sum", "tan", "timestampadd"),
        *("timestamptrunc", "timestrtotime", "timetostr", "tobase64", "transform", "translate", "trim"),
        *("tsordstodate", "unhex", "unixdate", "unixtostr", "upper", "uuid", "variance", "variancepop", "varmap"),
        *("weekofyear", "year"),
    ]
)

_TRANSLATED = "translated"
_DEFAULT_TIME_FORMAT = sqlglot.parse_one("unix_timestamp('')", read="databricks").args["format"].name
_WHOLE = {exp.DType.TINYINT, exp.DType.SMALLINT, exp.DType.INT, exp.DType.BIGINT}
_TEXT = {exp.DType.TEXT, exp.DType.VARCHAR, exp.DType.CHAR}
_DATE_UNITS = {"DAY", "DAYS", "WEEK", "WEEKS", "MONTH", "MONTHS", "QUARTER", "YEAR", "YEARS"}
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_TRUNC_UNITS = {
    **dict.fromkeys(("YEAR", "YYYY", "YY"), "year"),
    **dict.fromkeys(("MONTH", "MM", "MON"), "month"),
    "QUARTER": "quarter",
    "WEEK": "week",
}


def translate(query: exp.Query) -> exp.Query:
    """Return *query* with the functions of Databricks SQL in DuckDB's words. Raises BadQuery, naming the function."""
    translated = query.transform(_translated, copy=True)
    assert isinstance(translated, exp.Query)
    return translated


def _translated(node: exp.Expr) -> exp.Expr:
    if node.meta.get(_TRANSLATED):
        return node
    name = node.name.lower() if isinstance(node, exp.Anonymous) else node.key
    rule = _RULES.get(name)
    if rule is not None:
        return rule(node)
    if isinstance(node, exp.Func) and name not in VERIFIED:
        shown = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
        raise BadQuery("The function {name} is not supported here.", name=shown.lower())
    return node


# ------------------------------------------------------------------------------------------------- the rules


def _substring(node: exp.Expr) -> exp.Expr:
    """Position 0 is the first character in Spark and the one before it in DuckDB."""
    start = node.args.get("start")
    if isinstance(start, exp.Literal):
        if start.name == "0":
            node.set("start", exp.Literal.number(1))
    elif start is not None and not isinstance(start, exp.Neg):
        node.set("start", _duckdb("CASE WHEN {0} = 0 THEN 1 ELSE {0} END", start))
    return node


def _cast(node: exp.Expr) -> exp.Expr:
    """Spark cuts off fractions and refuses them in texts, DuckDB rounds; Spark writes times without a zone."""
    value, kind = node.this, node.args["to"].this
    if kind in _WHOLE and not isinstance(value, exp.Literal | exp.Boolean):
        target = node.args["to"].sql(dialect="duckdb")
        as_text = node.key == "trycast"
        bad = "NULL" if as_text else "error('Cannot cast the text ' || CAST({0} AS VARCHAR) || ' to an integer.')"
        cast = "TRY_CAST" if as_text else "CAST"
        return _duckdb(
            f"CASE WHEN typeof({{0}}) IN ('FLOAT', 'DOUBLE') THEN {cast}(trunc(TRY_CAST({{0}} AS DOUBLE)) AS {target}) "
            f"WHEN typeof({{0}}) LIKE 'DECIMAL%' THEN {cast}(split_part(CAST({{0}} AS VARCHAR), '.', 1) AS {target}) "
            f"WHEN typeof({{0}}) = 'VARCHAR' AND NOT regexp_full_match(CAST({{0}} AS VARCHAR), '\\s*[+-]?[0-9]+\\s*') "
            f"THEN {bad} ELSE {cast}({{0}} AS {target}) END",
            value,
        )
    if kind in _WHOLE and isinstance(value, exp.Literal):
        if value.is_string and not value.name.strip().lstrip("+-").isdigit():
            if node.key == "trycast":
                return exp.Null()
            raise BadQuery("The text {value} cannot be cast to an integer.", value=repr(value.name))
        if not value.is_string:
            node.set("this", exp.Literal.number(value.name.partition(".")[0] or "0"))
    if kind in _TEXT and not isinstance(value, exp.Literal):
        return _duckdb(
            "CASE WHEN typeof({0}) = 'TIMESTAMP WITH TIME ZONE' "
            "THEN regexp_replace(CAST({0} AS VARCHAR), '\\+00$', '') ELSE CAST({0} AS VARCHAR) END",
            value,
        )
    return node


def _divide(node: exp.Expr) -> exp.Expr:
    """Spark refuses a division by zero; DuckDB returns infinity or NULL."""
    divisor = node.args["expression"]
    if not (isinstance(divisor, exp.Literal) and float(divisor.name or 0) != 0):
        checked = "CASE WHEN {0} = 0 THEN error('Division by zero. Use try_divide or nullif.') ELSE {0} END"
        node.set("expression", _duckdb(checked, divisor))
    return node


def _add_interval(node: exp.Expr) -> exp.Expr:
    """A date plus days or months is a date in Spark and a timestamp in DuckDB."""
    date, interval = node.this, node.args["expression"]
    unit = str(interval.args.get("unit") or "").upper() if isinstance(interval, exp.Interval) else ""
    is_date = isinstance(date, exp.TsOrDsAdd) or (isinstance(date, exp.Cast) and date.to.this == exp.DType.DATE)
    if not is_date or unit not in _DATE_UNITS:
        return node
    return _duckdb(f"CAST({{0}} {'+' if isinstance(node, exp.Add) else '-'} {{1}} AS DATE)", date, interval)


def _date_diff(node: exp.Expr) -> exp.Expr:
    """Spark counts whole units between two times, DuckDB's date_diff counts the boundaries between them."""
    unit = node.args.get("unit")
    if unit is None:
        return node
    name = unit.name.upper().removesuffix("S")
    if name not in _MONTHS:
        return _duckdb(f"date_sub('{name.lower()}', {{0}}, {{1}})", node.args["expression"], node.this)
    months = "((year({1}) - year({0})) * 12 + month({1}) - month({0}))"
    # Where the last month is not complete: the day and the time of day come earlier than those of the start.
    within = "(day({0}) * 86400000000 + epoch_us(CAST({0} AS TIMESTAMP)) % 86400000000)"
    start, end = within, within.replace("{0}", "{1}")
    whole = f"({months} - CASE WHEN {months} > 0 AND {end} < {start} THEN 1 "
    whole += f"WHEN {months} < 0 AND {end} > {start} THEN -1 ELSE 0 END)"
    sql = f"CAST(trunc({whole} / {_MONTHS[name]}) AS BIGINT)"
    return _duckdb(sql, node.args["expression"], node.this)


def _trunc_date(node: exp.Expr) -> exp.Expr:
    unit = _TRUNC_UNITS.get(node.args["unit"].name.upper())
    if unit is None:
        return exp.Cast(this=exp.Null(), to=exp.DataType.build("date"))  # Spark's answer to a unit that is not known
    return _duckdb(f"CAST(date_trunc('{unit}', {{0}}) AS DATE)", node.this)


def _extract(node: exp.Expr) -> exp.Expr:
    part = node.this.name.upper()
    value = node.args["expression"]
    if part in ("DOW", "DAYOFWEEK"):
        return _duckdb("(isodow({0}) % 7 + 1)", value)
    if part in ("DOW_ISO", "DAYOFWEEK_ISO", "DAYOFWEEKISO"):
        return _duckdb("isodow({0})", value)
    if part in ("SECOND", "SECONDS", "S", "SEC"):
        return _duckdb("CAST(second({0}) + (microsecond({0}) % 1000000) / 1000000.0 AS DECIMAL(8, 6))", value)
    return node


def _date_part(node: exp.Expr) -> exp.Expr:
    part, value = node.expressions
    return _extract(exp.Extract(this=exp.var(part.name), expression=value))


def _substring_index(node: exp.Expr) -> exp.Expr:
    pieces = "string_split({0}, {1})"
    return _duckdb(
        f"CASE WHEN {{2}} > 0 THEN array_to_string({pieces}[1:{{2}}], {{1}}) "
        f"WHEN {{2}} < 0 THEN array_to_string({pieces}[{{2}}:], {{1}}) ELSE '' END",
        node.this,
        node.args["delimiter"],
        node.args["count"],
    )


def _template(sql: str) -> Callable[[exp.Expr], exp.Expr]:
    """A rule that puts a function's arguments, in their order, into *sql*."""

    def rule(node: exp.Expr) -> exp.Expr:
        return _duckdb(sql, *_arguments(node))

    return rule


def _arguments(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Anonymous):
        return list(node.expressions)
    values = [value for name in type(node).arg_types if (value := node.args.get(name)) is not None]
    return [part for value in values for part in (value if isinstance(value, list) else [value])]


def _duckdb(sql: str, *arguments: exp.Expr) -> exp.Expr:
    """*sql* in DuckDB's own words around translated *arguments*. Its functions are not looked at again."""
    template = sqlglot.parse_one(
        sql.format(*(f"__argument_{number}" for number in range(len(arguments)))), read="duckdb"
    )
    for part in template.walk():
        _marked(part)
    done = [argument.transform(_translated, copy=True) for argument in arguments]
    names = {f"__argument_{number}": argument for number, argument in enumerate(done)}

    def fill(part: exp.Expr) -> exp.Expr:
        if isinstance(part, exp.Column) and part.name in names:
            return _marked(exp.Paren(this=names[part.name].copy()))
        return part

    filled = template.transform(fill, copy=False)
    for part in filled.walk():
        _marked(part)
    return _marked(exp.Paren(this=filled))


def _marked(node: exp.Expr) -> exp.Expr:
    node.meta[_TRANSLATED] = True
    return node


def _printf(node: exp.Expr) -> exp.Expr:
    arguments = _arguments(node)
    return _duckdb(f"printf({', '.join(f'{{{number}}}' for number in range(len(arguments)))})", *arguments)


def _bround(node: exp.Expr) -> exp.Expr:
    value, *digits = _arguments(node)
    return _duckdb("round_even({0}, {1})", value, digits[0] if digits else exp.Literal.number(0))


def _exists(node: exp.Expr) -> exp.Expr:
    if not isinstance(node.this, exp.Query):
        raise BadQuery("The function {name} is not supported here.", name="exists")
    return node


def _unix_timestamp(node: exp.Expr) -> exp.Expr:
    if node.args.get("format") is not None and node.args["format"].name != _DEFAULT_TIME_FORMAT:
        raise BadQuery("unix_timestamp with a format is not supported here. Use to_timestamp first.")
    return _duckdb("CAST(floor(epoch(CAST({0} AS TIMESTAMPTZ))) AS BIGINT)", node.this)


_RULES: dict[str, Callable[[Any], exp.Expr]] = {
    "add": _add_interval,
    "arrays_overlap": _template("list_has_any({0}, {1})"),
    "btrim": _template("trim({0})"),
    "cast": _cast,
    "date_part": _date_part,
    "datediff": _date_diff,
    "datefromunixdate": _template("CAST(DATE '1970-01-01' + to_days(CAST({0} AS INTEGER)) AS DATE)"),
    "datetrunc": _trunc_date,
    "dayofweek": _template("(isodow({0}) % 7 + 1)"),
    "div": _divide,
    "e": _template("exp(1.0)"),
    "every": _template("bool_and({0})"),
    "exists": _exists,
    "extract": _extract,
    "find_in_set": _template("coalesce(list_position(string_split({1}, ','), {0}), 0)"),
    "format": _printf,
    "get": _template("CASE WHEN {1} >= 0 THEN list_extract({0}, CAST({1} + 1 AS BIGINT)) END"),
    "hypot": _template("sqrt(pow({0}, 2) + pow({1}, 2))"),
    "isnotnull": _template("({0} IS NOT NULL)"),
    "isnull": _template("({0} IS NULL)"),
    "kurtosis": _template("kurtosis_pop({0})"),
    "nanvl": _template("CASE WHEN isnan({0}) THEN {1} ELSE {0} END"),
    "octet_length": _template("strlen({0})"),
    "pmod": _template("((({0} % {1}) + {1}) % {1})"),
    "quantile": _template("quantile_cont({0}, {1})"),
    "rint": _template("CAST(round_even({0}, 0) AS DOUBLE)"),
    "bround": _bround,
    "some": _template("bool_or({0})"),
    "strtounix": _unix_timestamp,
    "sub": _add_interval,
    "substring": _substring,
    "substringindex": _substring_index,
    "timestamp_millis": _template("make_timestamptz(CAST({0} AS BIGINT) * 1000)"),
    "timestamp_seconds": _template("make_timestamptz(CAST({0} * 1000000 AS BIGINT))"),
    "trycast": _cast,
    "tsordsadd": _template("CAST(CAST({0} AS DATE) + to_days(CAST({1} AS INTEGER)) AS DATE)"),
    "weekday": _template("(isodow({0}) - 1)"),
    "zeroifnull": _template("coalesce({0}, 0)"),
}
