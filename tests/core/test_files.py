"""Files that people bring: what is read, and every way to refuse one in a sentence."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import BadFile
from core.features.data.file_formats.read_file import read_file as read_and_report


def read_file(path: Path, **options: object) -> pa.Table:
    table, _ = read_and_report(path, **options)  # type: ignore[arg-type]
    return table


def write(folder: Path, content: str | bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_csv_gets_types_from_its_values(tmp_path: Path) -> None:
    path = write(tmp_path, 'id,amount,name,day,flag\n1,1.5,Zoë,2024-02-29,true\n2,,"a, b",,false\n')
    assert read_file(path).to_pydict() == {
        "id": [1, 2],
        "amount": [1.5, None],
        "name": ["Zoë", "a, b"],
        "day": [date(2024, 2, 29), None],
        "flag": [True, False],
    }


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    path = write(tmp_path, f"a{delimiter}b\n1{delimiter}x\n")
    assert read_file(path).to_pydict() == {"a": [1], "b": ["x"]}


def test_byte_order_mark_and_windows_lines_are_no_part_of_names(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b\r\n1,2\r\n".encode("utf-8-sig"))
    assert read_file(path).to_pydict() == {"a": [1], "b": [2]}


def test_line_feeds_within_quotes_are_text(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b\n1,"two\nlines"\n')
    assert read_file(path).to_pydict() == {"a": [1], "b": ["two\nlines"]}


def test_column_without_values_is_text(tmp_path: Path) -> None:
    table = read_file(write(tmp_path, "a,b\n1,\n2,\n"))
    assert table.schema.field("b").type == pa.string()
    assert table.to_pydict()["b"] == [None, None]


def test_parquet_is_told_by_its_content_and_not_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "upload.csv"
    pq.write_table(pa.table({"a": [1, 2]}), path)
    assert read_file(path).to_pydict() == {"a": [1, 2]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"   \n\n", "only blank lines"),
        (b"a,b\n", "no rows"),
        (b"a,b\n\x81,1\n", "not encoded as UTF-8 (line 2: the byte 0x81"),
        ("a,b\n1,2\n".encode("utf-16-le"), "neither CSV nor Parquet"),
        (b"a,b\n1,2\n3\n", "not valid CSV"),
        (b"a,b\n1,2,3\n", "not valid CSV"),
        (b"a,a\n1,2\n", "column 'a' more than once"),
        (b"Name,name\n1,2\n", "column 'name' more than once"),
        (b"a,\n1,2\n", "a column without a name"),
        (b"1,2\n3,4\n", "begins with numbers"),
        (b"PAR1garbage", "damaged Parquet"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "neither CSV nor Parquet"),
    ],
)
def test_file_that_cannot_be_used_is_refused_in_one_sentence(tmp_path: Path, content: bytes, says: str) -> None:
    path = write(tmp_path, content, name="upload.tmp")
    with pytest.raises(BadFile) as caught:
        read_file(path, name="loans & <co>.csv")
    message = str(caught.value)
    assert message.startswith("loans & <co>.csv ")
    assert says in message
    assert "\n" not in message
    assert "upload.tmp" not in message, "the name of the temporary file means nothing to a person"


def test_file_that_is_not_there_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"none\.csv cannot be read"):
        read_file(tmp_path / "none.csv")
    with pytest.raises(BadFile, match="cannot be read"):
        read_file(tmp_path)


def test_truncated_parquet_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": list(range(1000))}), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadFile, match="damaged Parquet"):
        read_file(path)


def test_parquet_with_a_column_twice_or_none_is_refused(tmp_path: Path) -> None:
    twice = tmp_path / "twice.parquet"
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "A"]), twice)
    with pytest.raises(BadFile, match="more than once"):
        read_file(twice)
    none = tmp_path / "none.parquet"
    pq.write_table(pa.table({}), none)
    with pytest.raises(BadFile):
        read_file(none)


def test_zero_padded_numbers_and_long_digits_lose_nothing(tmp_path: Path) -> None:
    """Account numbers are names: 007 is not 7, and 20 digits are not a double."""
    path = write(tmp_path, "account,iban\n007,12345678901234567890\n042,12345678901234567891\n")
    assert read_file(path).to_pydict() == {
        "account": ["007", "042"],
        "iban": ["12345678901234567890", "12345678901234567891"],
    }


def test_text_columns_of_the_table_keep_every_character(tmp_path: Path) -> None:
    path = write(tmp_path, "code,flag,n\n1.50,TRUE,1\n2.00,False,2\n")
    schema = pa.schema([(name, pa.string()) for name in ("code", "flag", "not there")])
    table = read_file(path, schema=schema)
    assert table.to_pydict() == {"code": ["1.50", "2.00"], "flag": ["TRUE", "False"], "n": [1, 2]}
