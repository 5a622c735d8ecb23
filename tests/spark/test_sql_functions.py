"""Functions of Databricks SQL have the same values in DuckDB as in Spark: every verified and translated one."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from sqlglot import exp

from core.delta.sql.functions import _RULES, VERIFIED, translate
from core.delta.sql.parser import parse

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.xdist_group("spark")]

SOURCE = "(VALUES (1, 10.0, 'a'), (2, 15.0, 'b'), (3, 40.0, 'c'), (3, NULL, 'c'), (NULL, 1.0, NULL)) AS t(x, y, s)"

SCALARS = [
    "date '2026-05-17' - interval 1 day",
    "true or false",
    "substring('hello',0,2)",
    "substr('hello',0,2)",
    "substring('hello',-3,2)",
    "substring('hello',2)",
    "left('hello',2)",
    "right('hello',2)",
    "concat('a',NULL,'b')",
    "concat_ws(',','a',NULL,'b')",
    "'a'||NULL",
    "length('héllo')",
    "char_length('abc')",
    "octet_length('é')",
    "bit_length('abc')",
    "lower('ABC')",
    "initcap('hello world')",
    "trim('  a ')",
    "ltrim('  a')",
    "rtrim('a  ')",
    "trim(BOTH 'x' FROM 'xax')",
    "lpad('a',3,'xy')",
    "rpad('a',3,'xy')",
    "lpad('abc',2)",
    "repeat('ab',2)",
    "reverse('abc')",
    "replace('aba','a','c')",
    "translate('abc','ab','x')",
    "instr('hello','l')",
    "locate('l','hello')",
    "locate('l','hello',4)",
    "position('l' IN 'hello')",
    "split('a.b.c','.')",
    "split('a,b,c',',')",
    "split_part('a,b,c',',',2)",
    "split('a1b2',  '[0-9]')",
    "substring_index('a.b.c','.',2)",
    "regexp_extract('ab12','([a-z]+)([0-9]+)')",
    "regexp_extract('ab12','([a-z]+)([0-9]+)',2)",
    "regexp_extract('ab12','([a-z]+)([0-9]+)',0)",
    "regexp_replace('aaa','a','b')",
    "regexp_like('abc','b')",
    "'abc' rlike 'b'",
    "'abc' RLIKE '^b'",
    "'aBc' LIKE 'a%'",
    "'aBc' ILIKE 'ab%'",
    "startswith('abc','a')",
    "endswith('abc','c')",
    "contains('abc','b')",
    "ascii('a')",
    "chr(65)",
    "char(65)",
    "space(2)",
    "format_string('%d-%s',1,'a')",
    "levenshtein('ab','ac')",
    "md5('a')",
    "sha1('a')",
    "sha2('a',256)",
    "base64('abc')",
    "hex('abc')",
    "hex(255)",
    "unhex('61')",
    "bin(5)",
    "abs(-3)",
    "ceil(1.2)",
    "ceiling(1.2)",
    "floor(-1.2)",
    "round(2.5)",
    "round(-2.5)",
    "round(2.345,2)",
    "bround(2.5)",
    "round(125,-1)",
    "sign(-2)",
    "sqrt(2)",
    "cbrt(27)",
    "exp(1)",
    "ln(2)",
    "log(2)",
    "log(2,8)",
    "log10(100)",
    "log2(8)",
    "pow(2,3)",
    "power(2,0.5)",
    "mod(-5,3)",
    "-5 % 3",
    "pmod(-5,3)",
    "5/2",
    "5 div 2",
    "-5 div 2",
    "try_divide(1,0)",
    "greatest(1,NULL,3)",
    "least(1,NULL,3)",
    "coalesce(NULL,1)",
    "ifnull(NULL,1)",
    "nvl(NULL,1)",
    "nvl2(NULL,1,2)",
    "nullif(1,1)",
    "if(true,1,2)",
    "CASE WHEN 1=1 THEN 'a' ELSE 'b' END",
    "decode(1,1,'a','b')",
    "isnull(NULL)",
    "isnotnull(1)",
    "isnan(cast('NaN' as double))",
    "nanvl(cast('NaN' as double),1.0)",
    "cast('1' as int)",
    "cast('1.7' as double)",
    "cast(1.7 as int)",
    "cast(-1.7 as int)",
    "cast(1.5 as int)",
    "cast(2.5 as int)",
    "try_cast('x' as int)",
    "int('3')",
    "double('1.5')",
    "string(3)",
    "date('2026-01-02')",
    "cast('2026-01-02' as date)",
    "cast(true as int)",
    "cast('true' as boolean)",
    "cast(1 as boolean)",
    "date '2026-01-31'",
    "date_add(date '2026-01-31',1)",
    "date_sub(date '2026-01-31',1)",
    "datediff(date '2026-01-31',date '2026-01-01')",
    "date_diff(date '2026-01-31',date '2026-01-01')",
    "datediff(DAY,date '2026-01-01',date '2026-01-31')",
    "datediff(MONTH,date '2026-01-31',date '2026-02-28')",
    "dateadd(DAY,1,date '2026-01-31')",
    "add_months(date '2026-01-31',1)",
    "add_months(date '2026-02-28',1)",
    "months_between(date '2026-03-31',date '2026-02-28')",
    "last_day(date '2026-02-03')",
    "next_day(date '2026-01-31','Mon')",
    "trunc(date '2026-05-17','MM')",
    "trunc(date '2026-05-17','YEAR')",
    "date_trunc('month',timestamp '2026-05-17 10:11:12')",
    "date_trunc('WEEK',timestamp '2026-05-17 10:11:12')",
    "date_trunc('quarter',timestamp '2026-05-17 10:11:12')",
    "year(date '2026-05-17')",
    "quarter(date '2026-05-17')",
    "month(date '2026-05-17')",
    "day(date '2026-05-17')",
    "dayofmonth(date '2026-05-17')",
    "dayofweek(date '2026-05-17')",
    "weekday(date '2026-05-17')",
    "dayofyear(date '2026-05-17')",
    "weekofyear(date '2026-01-01')",
    "hour(timestamp '2026-05-17 10:11:12')",
    "minute(timestamp '2026-05-17 10:11:12')",
    "second(timestamp '2026-05-17 10:11:12')",
    "extract(YEAR FROM date '2026-05-17')",
    "extract(DOW FROM date '2026-05-17')",
    "extract(DAYOFWEEK FROM date '2026-05-17')",
    "extract(DAYOFWEEK_ISO FROM date '2026-05-17')",
    "extract(SECOND FROM timestamp '2026-05-17 10:11:12.5')",
    "date_part('year',date '2026-05-17')",
    "date_format(timestamp '2026-05-17 10:11:12','yyyy-MM-dd')",
    "date_format(timestamp '2026-05-17 10:11:12','dd/MM/yy HH:mm')",
    "date_format(date '2026-05-17','EEEE')",
    "date_format(date '2026-05-17','MMM')",
    "to_date('2026-05-17')",
    "to_date('17/05/2026','dd/MM/yyyy')",
    "to_timestamp('2026-05-17 10:11:12')",
    "to_timestamp('17/05/2026 10','dd/MM/yyyy HH')",
    "unix_timestamp('2026-05-17 00:00:00')",
    "from_unixtime(0)",
    "timestamp_seconds(1)",
    "timestamp_millis(1)",
    "unix_date(date '2026-05-17')",
    "date_from_unix_date(1)",
    "make_date(2026,5,17)",
    "timestamp '2026-05-17 10:11:12'",
    "date '2026-05-17' + interval 1 day",
    "timestamp '2026-05-17 10:11:12' + interval '1' hour",
    "date '2026-01-31' + interval 1 month",
    "array(1,2)",
    "array(1,2)[0]",
    "element_at(array(1,2),1)",
    "element_at(array(1,2),-1)",
    "get(array(1,2),0)",
    "size(array(1,2))",
    "size(cast(null as array<int>))",
    "cardinality(array(1))",
    "array_contains(array(1,2),1)",
    "array_position(array(1,2),2)",
    "array_max(array(1,2))",
    "array_min(array(1,2))",
    "array_join(array('a','b'),',')",
    "array_sort(array(2,1))",
    "sort_array(array(2,1))",
    "sort_array(array(2,NULL,1))",
    "slice(array(1,2,3),2,2)",
    "flatten(array(array(1),array(2)))",
    "sequence(1,3)",
    "arrays_overlap(array(1),array(1))",
    "transform(array(1,2), x -> x+1)",
    "filter(array(1,2), x -> x>1)",
    "aggregate(array(1,2),0,(a,x)->a+x)",
    "map('a',1)",
    "map('a',1)['a']",
    "map('a',1)['b']",
    "map_keys(map('a',1))",
    "map_values(map('a',1))",
    "named_struct('a',1).a",
    "get_json_object('{\"a\":1}','$.a')",
    'get_json_object(\'{"a":{"b":"x"}}\',\'$.a.b\')',
    "1 <=> NULL",
    "NULL <=> NULL",
    "1 = NULL",
    "1 != 2",
    "true AND NULL",
    "NOT true",
    "1 IN (1,NULL)",
    "2 IN (1,NULL)",
    "2 BETWEEN 1 AND 3",
    "1.1+2.2",
    "1e0/3",
    "0.1+0.2",
    "3.0",
    "1.5",
    "cast(2147483647 as bigint)+1",
    "shiftleft(1,2)",
    "shiftright(8,1)",
    "5 & 3",
    "5 | 3",
    "5 ^ 3",
    "~5",
    "bit_count(5)",
    "e()",
    "pi()",
    "degrees(pi())",
    "radians(180)",
    "sin(1)",
    "cos(1)",
    "tan(1)",
    "asin(1)",
    "atan2(1,2)",
    "sinh(1)",
    "rint(2.5)",
    "factorial(5)",
    "hypot(3,4)",
    "nvl(cast(null as string),'x')",
    "isnull(1)",
    "zeroifnull(null)",
    "equal_null(1,null)",
    "char_length(null)",
    "btrim(' a ')",
    "overlay('abc' PLACING 'x' FROM 2)",
    "find_in_set('b','a,b')",
    "ucase('a')",
    "lcase('A')",
    "uuid() is not null",
    "rand() < 2",
    "current_date() is not null",
    "now() is not null",
    "date_format(timestamp '2026-05-17 00:00:00','HH')",
    "hour(timestamp '2026-05-17 23:59:59')",
    "cast(timestamp '2026-05-17 10:11:12' as string)",
    "cast(timestamp '2026-05-17 10:11:12' as date)",
    "cast(1.0 as string)",
    "cast(cast(1 as double) as string)",
    "cast(0.1 as string)",
    "cast(true as string)",
    "cast(array(1) as string)",
    "string(1.50)",
    "concat('a',1)",
    "'1'=1",
    "'10'<'9'",
    "'a'<'B'",
    "cast(cast('1.23' as decimal(10,2)) as string)",
    "named_struct('a',1)=named_struct('a',1)",
    "add_months(date '2026-01-31', -1)",
    "substring('hello', cast(0 as int), 2)",
    "try_cast('1.7' as int)",
    "cast(cast(1.99 as decimal(4,2)) as int)",
    "cast(cast(-0.5 as double) as bigint)",
    "datediff(YEAR,date '2024-02-29',date '2026-02-28')",
    "datediff(MONTH,date '2026-03-15',date '2026-01-20')",
    "datediff(QUARTER,date '2026-01-15',date '2026-12-15')",
    "datediff(HOUR,timestamp '2026-01-01 00:30:00',timestamp '2026-01-01 02:00:00')",
    "rint(3.5)",
    "bround(3.45,1)",
    "substring_index('a.b.c','.',-2)",
    "get(array(1,2),5)",
    "date_sub(date '2026-03-01',1)",
    "extract(MONTH FROM date '2026-05-17')",
    "cast(12 as string)",
    "element_at(map('a',1),'a')",
    "weekday(date '2026-05-18')",
    "dayofweek(date '2026-05-23')",
    "unix_timestamp('2026-05-17 10:11:12')",
    "date_part('dow', date '2026-05-17')",
    "hour(timestamp '2026-07-01 23:00:00')",
    "7 % 3",
    "-7 div 2",
]

AGGREGATES = [
    "count(*)",
    "count(x)",
    "sum(x)",
    "avg(x)",
    "min(x)",
    "max(x)",
    "stddev(x)",
    "stddev_pop(x)",
    "stddev_samp(x)",
    "variance(x)",
    "var_pop(x)",
    "var_samp(x)",
    "median(x)",
    "percentile(x,0.5)",
    "percentile_cont(0.5) within group (order by x)",
    "percentile_disc(0.5) within group (order by x)",
    "approx_percentile(x,0.5)",
    "percentile_approx(x,0.5)",
    "mode(x)",
    "first(x)",
    "last(x)",
    "any_value(x)",
    "collect_list(x)",
    "sort_array(collect_set(x))",
    "array_agg(x)",
    "string_agg(s,',')",
    "listagg(s,',')",
    "corr(x,y)",
    "covar_pop(x,y)",
    "covar_samp(x,y)",
    "kurtosis(x)",
    "bool_and(x>0)",
    "bool_or(x>2)",
    "every(x>0)",
    "some(x>2)",
    "count_if(x>1)",
    "max_by(s,x)",
    "min_by(s,x)",
    "bit_and(x)",
    "bit_or(x)",
    "bit_xor(x)",
    "regr_slope(y,x)",
    "count(x) filter (where x>1)",
]

# Apart from the others: a DISTINCT lets Spark group the rows anew, in another order.
DISTINCT = [
    "count(distinct x)",
    "approx_count_distinct(x)",
    "sum(distinct x)",
]

WINDOWS = [
    "row_number() over (order by x)",
    "rank() over (order by x)",
    "dense_rank() over (order by x)",
    "percent_rank() over (order by x)",
    "cume_dist() over (order by x)",
    "ntile(2) over (order by x)",
    "lag(x) over (order by x)",
    "lead(x,1,0) over (order by x)",
    "first_value(x) over (order by x)",
    "last_value(x) over (order by x)",
    "nth_value(x,2) over (order by x)",
    "sum(x) over (order by x)",
    "sum(x) over (order by x rows between 1 preceding and current row)",
]


def plain(value: Any) -> Any:
    """Values of both engines in the same Python types."""
    if isinstance(value, Decimal | float):
        return "NaN" if math.isnan(value) else round(float(value), 9)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return float(value)
    if hasattr(value, "asDict"):
        return plain(value.asDict())
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None).isoformat()
    return bytes(value) if isinstance(value, bytearray) else value


def ours(query: str) -> list[list[Any]]:
    statement = translate(parse(query)).sql(dialect="duckdb")
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return [[plain(value) for value in row] for row in connection.sql(statement).fetchall()]


def columns(expressions: Iterable[str]) -> str:
    return ", ".join(f"{expression} AS c{number}" for number, expression in enumerate(expressions))


@pytest.mark.parametrize(
    ("expressions", "after"),
    [
        (SCALARS, ""),
        (AGGREGATES, f" FROM {SOURCE}"),
        (DISTINCT, f" FROM {SOURCE}"),
        (WINDOWS, f" FROM {SOURCE} ORDER BY x, y"),
    ],
    ids=["scalars", "aggregates", "distinct", "windows"],
)
def test_functions_mean_what_they_mean_in_spark(java: None, expressions: list[str], after: str) -> None:
    from core.delta.spark import session
    from core.delta.spark.engine import SparkEngine

    spark = session.session(SparkEngine("local[2]").settings)
    settings = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "true"}
    settings["spark.sql.leafNodeDefaultParallelism"] = "1"  # rows in the order of the text
    before = {name: spark.conf.get(name, None) for name in settings}
    try:
        for name, value in settings.items():
            spark.conf.set(name, value)
        rows = [list(row) for row in spark.sql(f"SELECT {columns(expressions)}{after}").collect()]
    finally:
        for name, value in before.items():
            spark.conf.unset(name) if value is None else spark.conf.set(name, value)
    differing = {}
    for number, expression in enumerate(expressions):
        spark_values = [plain(row[number]) for row in rows]
        our_values = [row[0] for row in ours(f"SELECT {expression} AS v{after}")]
        if our_values != spark_values:
            differing[expression] = (spark_values, our_values)
    assert not differing


def test_every_function_that_passes_is_compared_with_spark() -> None:
    compared = set()
    for expression in [*SCALARS, *AGGREGATES, *DISTINCT, *WINDOWS]:
        for node in parse(f"SELECT {expression} FROM t").walk():
            compared.add(node.name.lower() if isinstance(node, exp.Anonymous) else node.key)
    # explode makes rows (tests/core/test_sql.py), and exists is refused as a function.
    assert (VERIFIED | set(_RULES)) - compared == {"explode", "exists"}
