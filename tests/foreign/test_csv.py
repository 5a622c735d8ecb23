"""CSV files that others wrote: Excel in Spain, R, pandas and by hand. Nothing is read as something else in silence."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from core.errors import BadFile
from core.features.data.file_formats.csv_format import CsvFormat, FileReport
from core.features.data.file_formats.read_file import read_file

SPANISH = (
    "Código;Importe;Fecha;Ciudad;Pagado\r\n"
    "1;1.234,5;03/11/2026;Coruña €;VERDADERO\r\n"
    '2;-0,25;25/12/2026;"Ávila; Castilla";FALSO\r\n'
    "3;;01/02/2026;;\r\n"
)


def read(
    folder: Path, content: str | bytes, *, schema: pa.Schema | None = None, **chosen: object
) -> tuple[pa.Table, FileReport]:
    path = folder / "data.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_file(path, chosen=CsvFormat(**chosen), schema=schema)  # type: ignore[arg-type]


def values(folder: Path, content: str | bytes, **options: object) -> dict[str, list[object]]:
    return read(folder, content, **options)[0].to_pydict()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("codec", "encoding", "is_guessed"),
    [
        ("utf-8", "utf-8", False),
        ("utf-8-sig", "utf-8", False),
        ("cp1252", "windows-1252", True),
        ("utf-16", "utf-16", False),
    ],
)
def test_file_as_excel_writes_it_in_spain_loads_with_its_format_shown(
    tmp_path: Path, codec: str, encoding: str, is_guessed: bool
) -> None:
    table, report = read(tmp_path, SPANISH.encode(codec))
    assert table.to_pydict() == {
        "Código": [1, 2, 3],
        "Importe": [1234.5, -0.25, None],
        "Fecha": [date(2026, 11, 3), date(2026, 12, 25), date(2026, 2, 1)],
        "Ciudad": ["Coruña €", "Ávila; Castilla", None],
        "Pagado": [True, False, None],
    }
    assert report.format == CsvFormat(encoding=encoding, delimiter=";", quote='"', decimal=",", header=True)
    assert report.is_encoding_guessed is is_guessed


@pytest.mark.parametrize("word", ["NA", "N/A", "n/a", "null", "NULL", "nan", "None", "-", "\\N"])
def test_words_that_often_mean_null_stay_text_and_are_named(tmp_path: Path, word: str) -> None:
    """NA is Namibia's code, and null a name."""
    table, report = read(tmp_path, f"id,country\n1,{word}\n2,ES\n3,\n")
    assert table.to_pydict()["country"] == [word, "ES", None]
    assert report.nulls == ((word, 1),)


def test_chosen_words_are_null_where_they_stand_without_quotes(tmp_path: Path) -> None:
    content = 'id,country\n1,NA\n2,"NA"\n3,\n4,""\n'
    assert values(tmp_path, content)["country"] == ["NA", "NA", None, ""]
    assert values(tmp_path, content, nulls=("NA",))["country"] == [None, "NA", None, ""]


def test_quoted_word_in_a_column_of_numbers_is_null_too(tmp_path: Path) -> None:
    """R quotes nothing in a column of numbers, QUOTE_ALL everything."""
    assert values(tmp_path, '"n","m"\n"1","x"\n"NA","y"\n"","z"\n', nulls=("NA",)) == {
        "n": [1, None, None],
        "m": ["x", "y", "z"],
    }


@pytest.mark.parametrize(
    ("content", "line", "found", "count", "expected"),
    [
        ("id,x\n" + "1,2.5\n" * 15 + "1,NA\n1,3\n", 17, "NA", 1, "number"),
        ("x\n1\n\n\n2\noops\n3\nNA\n", 6, "oops", 2, "number"),
        ('t,x\n"two\nlines",1\n"a",2\n"b",?\n', 5, "?", 1, "number"),
        ("d\n2026-01-31\n2026-02-31\n2026-03-31\n", 3, "2026-02-31", 1, "date32[day]"),
        ("a;b\n1,5;x\n2,5;y\nNA;z\n", 4, "NA", 1, "number"),
        ("a;b\n1,5;2.5\n2,5;3.5\n", 2, "1,5", 2, "number"),
    ],
)
def test_column_that_is_text_because_of_a_value_names_the_value_and_its_line(
    tmp_path: Path, content: str, line: int, found: str, count: int, expected: str
) -> None:
    _, report = read(tmp_path, content)
    (note,) = report.notes
    assert (note.reason, note.line, note.found, note.count, note.expected) == ("text", line, found, count, expected)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a,b\n1,2\n3\n", "line 3: 1 values were found and 2 are expected"),
        (b'a,b\n"x\ny",2\n\n3,4,5\n', "line 5: 3 values were found and 2 are expected"),
        (b'a,b\n1,2\n3,"x\n4,5\n', "line 3: a quoted value does not end"),
        (b'a,b\n1,"x\n4,5\n7,8,9\n', "line 2: a quoted value does not end"),
        (b'a,b\n1,"x', "line 2: a quoted value does not end"),
        (b"sep=;\na;b\n1;2\n3\n", "line 4: 1 values"),
        (b"a,b\n1,\x81\n", "line 2: the byte 0x81"),
        ("a,b\né,ñ\nü,".encode() + b"\xff\n", "not encoded as UTF-8 (line 3: the byte 0xFF"),
    ],
)
def test_error_names_the_line_and_what_was_expected(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(BadFile) as caught:
        read(tmp_path, content)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("content", "delimiter", "columns"),
    [
        ("id;text\n1;a, b, c\n2;d, e, f\n", ";", ["id", "text"]),
        ("name, first;age\nx, y;3\n", ";", ["name, first", "age"]),
        ("precio,eur;precio,usd\n1,5;2,5\n", ";", ["precio,eur", "precio,usd"]),
        ("a|b\n1|x,y\n", "|", ["a", "b"]),
        ("a\tb\n1\tx;y\n", "\t", ["a", "b"]),
        ("text,n\na;b,1\nc,2\n", ",", ["text", "n"]),
        ("one\na\nb\n", ",", ["one"]),
        ("sep=;\r\na;b\r\n1;x\r\n", ";", ["a", "b"]),
        ("a;b;;\n1;x;;\n", ";", ["a", "b"]),
    ],
)
def test_delimiter_is_the_sign_that_splits_all_rows_alike(
    tmp_path: Path, content: str, delimiter: str, columns: list[str]
) -> None:
    table, report = read(tmp_path, content)
    assert report.format is not None
    assert (report.format.delimiter, table.column_names) == (delimiter, columns)


def test_single_quotes_are_quotes_only_where_they_enclose_fields(tmp_path: Path) -> None:
    assert values(tmp_path, "a,b\n1,'x,y'\n2,'z'\n")["b"] == ["x,y", "z"]
    assert values(tmp_path, "a,b\n1,it's\n2,'tis\n")["b"] == ["it's", "'tis"]


@pytest.mark.parametrize(
    ("content", "chosen", "expected"),
    [
        ("d\n03/04/2026\n25/12/2026\n", None, [date(2026, 4, 3), date(2026, 12, 25)]),
        ("d\n03/04/2026\n12/25/2026\n", None, [date(2026, 3, 4), date(2026, 12, 25)]),
        ("d\n3.4.2026\n25.12.2026\n", None, [date(2026, 4, 3), date(2026, 12, 25)]),
        ("d\n03/04/2026\n05/06/2026\n", "dmy", [date(2026, 4, 3), date(2026, 6, 5)]),
        ("d\n03/04/2026\n05/06/2026\n", "mdy", [date(2026, 3, 4), date(2026, 5, 6)]),
        ("d\n25/12/2026 8:30\n", None, [datetime(2026, 12, 25, 8, 30)]),
        ("d\n31/02/2026\n25/12/2026\n", None, ["31/02/2026", "25/12/2026"]),
    ],
)
def test_dates_by_day_and_month_are_read_where_only_one_order_is_possible_or_chosen(
    tmp_path: Path, content: str, chosen: str | None, expected: list[object]
) -> None:
    assert values(tmp_path, content, dates=chosen)["d"] == expected


def test_dates_whose_day_and_month_can_be_exchanged_stay_text_with_a_note(tmp_path: Path) -> None:
    table, report = read(tmp_path, "d\n03/04/2026\n05/06/2026\n")
    assert table.to_pydict()["d"] == ["03/04/2026", "05/06/2026"]
    assert [(note.reason, note.line) for note in report.notes] == [("ambiguous_date", 2)]
    to_table = pa.schema([("d", pa.date32())])
    assert [note.reason for note in read(tmp_path, "d\n03/04/2026\n", schema=to_table)[1].notes] == ["ambiguous_date"]


@pytest.mark.parametrize(
    ("content", "chosen", "expected", "reasons"),
    [
        ("n;m\n1,234;0,5\n", None, 1.234, []),  # the other column shows the decimal comma
        ('n,m\n"1,234",0.5\n', None, 1234, []),
        ('n,m\n"1,234",1\n', None, "1,234", ["ambiguous_number"]),
        ("n;m\n1.234;1\n", None, 1.234, ["point"]),
        ("n;m\n1.234;0,5\n", None, 1234, []),
        ("n;m\n1.234;1\n", ",", 1234, []),
        ("n;m\n1.234;1\n", ".", 1.234, []),
        ("n;m\n1.234.567,25;1\n", None, 1234567.25, []),
    ],
)
def test_point_and_comma_mean_what_the_file_shows_or_a_person_chooses(
    tmp_path: Path, content: str, chosen: str | None, expected: object, reasons: list[str]
) -> None:
    table, report = read(tmp_path, content, decimal=chosen)
    assert table.to_pydict()["n"] == [expected]
    assert [note.reason for note in report.notes] == reasons


def test_file_without_a_header_takes_names_from_the_table_or_numbers(tmp_path: Path) -> None:
    schema = pa.schema([("id", pa.int64()), ("name", pa.string())])
    assert values(tmp_path, "1,2\n3,4\n", header=False, schema=schema) == {"id": [1, 3], "name": ["2", "4"]}
    assert values(tmp_path, "1,2\n3,4\n", header=False) == {"column_1": [1, 3], "column_2": [2, 4]}


@pytest.mark.parametrize(
    ("kind", "written", "expected"),
    [
        (pa.decimal128(10, 2), "1.234,50", Decimal("1234.50")),
        (pa.float32(), "0,5", 0.5),
        (pa.int32(), "007", 7),
        (pa.bool_(), "verdadero", True),
        (pa.bool_(), "0", False),
        (pa.date32(), "25/12/2026", date(2026, 12, 25)),
        (pa.string(), "1.50", "1.50"),
    ],
)
def test_values_take_the_type_of_the_table(tmp_path: Path, kind: pa.DataType, written: str, expected: object) -> None:
    table, report = read(tmp_path, f"x;y\n{written};0,5\n", schema=pa.schema([("x", kind)]))
    assert table.schema.field("x").type == kind
    assert table.to_pydict()["x"] == [expected]
    assert not report.notes


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (pa.int64(), "1", "1.5"),
        (pa.int8(), "1", "300"),
        (pa.float64(), "1.5", "abc"),
        (pa.decimal128(4, 2), "1.50", "1.555"),
        (pa.bool_(), "true", "yes"),
        (pa.date32(), "2026-01-31", "2026-02-31"),
        (pa.timestamp("us", "UTC"), "2026-01-31T10:00:00", "yesterday"),
    ],
)
def test_value_that_the_tables_type_cannot_hold_is_named_with_its_line(
    tmp_path: Path, kind: pa.DataType, good: str, bad: str
) -> None:
    table, report = read(tmp_path, f"x\n{good}\n{bad}\n{good}\n", schema=pa.schema([("x", kind)]))
    assert table.schema.field("x").type == pa.string()
    assert [(note.line, note.found, note.expected) for note in report.notes] == [(3, bad, str(kind))]
