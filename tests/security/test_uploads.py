"""Uploads: whatever somebody brings is parsed elsewhere, within limits; what is too much ends in one sentence."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.bootstrap import open_stores
from core.entities import Actor, Outcome
from core.errors import BadFile
from core.features.data.ingest import ingest_file, preview_file
from core.features.stores import Stores
from core.settings import load_settings
from tests.cli.conftest import Command, command  # noqa: F401 - a fixture, under its own name
from tests.pages.conftest import Opened, opened  # noqa: F401 - a fixture, under its own name

MB = 1024 * 1024


def bring(folder: Path, content: bytes, name: str = "big.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def limited(home: Path, **limits: int) -> Stores:
    return open_stores(load_settings(home=home, **limits))


def parquet_bomb(folder: Path) -> Path:
    """A few hundred kilobytes that unpack to 3.2 GB: one long text, told as a dictionary and as its repetitions."""
    path = folder / "bomb.parquet"
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), pa.array(["x" * 32_000]))
    pq.write_table(pa.table({"x": text}), path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 1 * MB
    return path


def peak_mb() -> int:
    """The most memory that this process held since its peak was reset."""
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) // 1024


def refused(stores: Stores, actor: Actor, path: Path) -> str:
    """The sentence in which preview and save alike refuse *path*; nothing was written, and the refusal was kept."""
    with pytest.raises(BadFile) as looked:
        preview_file(stores, actor, table="t", path=path, name=path.name)
    with pytest.raises(BadFile) as saved:
        ingest_file(stores, actor, table="t", path=path, name=path.name)
    sentence = str(saved.value)
    assert str(looked.value) == sentence
    assert sentence.startswith(path.name)
    assert "\n" not in sentence
    assert str(path.parent) not in sentence
    assert not stores.catalog.tables()
    assert not (stores.settings.home / "tables" / "t").exists()
    last = stores.audit.search(action="data.ingest")[0]
    assert (last.outcome, last.reason) == (Outcome.FAILED, sentence)
    return sentence


def test_file_over_the_limit_is_not_opened(home: Path, scientist: Actor, tmp_path: Path) -> None:
    path = bring(tmp_path, b"a\n" + b"1\n" * MB)
    assert "at most 1 MB are allowed" in refused(limited(home, upload_limit_mb=1), scientist, path)


def test_parquet_bomb_ends_with_a_sentence_and_does_not_fill_the_apps_memory(
    home: Path, scientist: Actor, tmp_path: Path
) -> None:
    path = parquet_bomb(tmp_path)
    stores = limited(home, upload_memory_mb=1024)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew: an earlier test may have had a higher one
    before = peak_mb()
    assert "1,024 MB of memory" in refused(stores, scientist, path)
    assert peak_mb() - before < 100, "3.2 GB were unpacked in this process"


def test_parquet_that_declares_more_than_memory_is_refused_unread(home: Path, scientist: Actor, tmp_path: Path) -> None:
    path = tmp_path / "zeros.parquet"
    pq.write_table(pa.table({"n": np.zeros(80 * MB, dtype=np.int64)}), path, compression="zstd", use_dictionary=False)
    assert path.stat().st_size < 5 * MB
    assert "640 MB of unpacked data; at most 512 MB are allowed" in refused(
        limited(home, upload_memory_mb=512, upload_rows=10**9), scientist, path
    )


def test_parquet_with_too_many_rows_is_refused_unread(home: Path, scientist: Actor, tmp_path: Path) -> None:
    path = tmp_path / "long.parquet"
    pq.write_table(pa.table({"n": pa.array([1] * 1001)}), path)
    assert "1,001 rows; at most 1,000 are allowed" in refused(limited(home, upload_rows=1000), scientist, path)


def test_csv_with_too_many_rows_is_refused(home: Path, scientist: Actor, tmp_path: Path) -> None:
    path = bring(tmp_path, b"n\n" + b"1\n" * 1001)
    assert "1,001 rows; at most 1,000 are allowed" in refused(limited(home, upload_rows=1000), scientist, path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_with_a_million_columns_is_refused(
    stores: Stores, scientist: Actor, tmp_path: Path, delimiter: str
) -> None:
    names = delimiter.join(f"c{number}" for number in range(100_000))
    path = bring(tmp_path, f"{names}\n{delimiter * 99_999}\n".encode())
    assert "100,000 columns; at most 2,000 are allowed" in refused(stores, scientist, path)
    endless = bring(tmp_path, b"\nx" + delimiter.encode() * 1_000_000 + b"\n", "million.csv")
    assert "1,000,001 columns; at most 2,000 are allowed" in refused(stores, scientist, endless)


def test_parquet_with_too_many_columns_is_refused(home: Path, scientist: Actor, tmp_path: Path) -> None:
    path = tmp_path / "wide.parquet"
    pq.write_table(pa.table({f"c{number}": [1] for number in range(11)}), path)
    assert "11 columns; at most 10 are allowed" in refused(limited(home, upload_columns=10), scientist, path)


def test_csv_whose_first_line_does_not_end_is_refused(stores: Stores, scientist: Actor, tmp_path: Path) -> None:
    assert "begins with a line of more than 1 MB" in refused(stores, scientist, bring(tmp_path, b"x" * 30 * MB))


@pytest.mark.parametrize("quote", [b"", b'"'])
def test_csv_with_one_endless_line_is_refused(stores: Stores, scientist: Actor, tmp_path: Path, quote: bytes) -> None:
    path = bring(tmp_path, b"a,b\n1," + quote + b"x" * 30 * MB)
    assert "a line of more than 16 MB" in refused(stores, scientist, path)


def test_endless_value_over_many_lines_is_refused(stores: Stores, scientist: Actor, tmp_path: Path) -> None:
    path = bring(tmp_path, b'a,b\n1,"' + b"x\n" * (2 * MB) + b'"\n')
    assert "a value of 4,194,304 bytes in the column 'b'; at most 1,024 KB" in refused(stores, scientist, path)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()])
def test_parquet_with_a_value_that_is_too_long_is_refused(
    home: Path, scientist: Actor, tmp_path: Path, kind: pa.DataType
) -> None:
    path = tmp_path / "cell.parquet"
    pq.write_table(pa.table({"a": pa.array(["x", "y" * 1025], kind)}), path)
    assert "a value of 1,025 bytes in the column 'a'" in refused(limited(home, upload_cell_kb=1), scientist, path)


def test_reading_that_takes_too_long_is_ended(home: Path, scientist: Actor, tmp_path: Path) -> None:
    """A pipe that nobody writes to: without the limit the reader would wait for ever."""
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    assert "takes longer than 2 s to read" in refused(limited(home, upload_time_s=2), scientist, path)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGABRT, signal.SIGRTMIN + 1])
def test_a_reader_that_is_killed_is_reported_with_its_signal(
    stores: Stores, scientist: Actor, tmp_path: Path, how: int
) -> None:
    """The file is not at fault: the sentence names the signal and says to try again."""
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    strikes: list[int] = []

    def strike() -> None:
        while not strikes:
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if any("file_reader_process" in word for word in child.cmdline()):
                        child.send_signal(how)
                        strikes.append(child.pid)
            time.sleep(0.05)

    striker = threading.Thread(target=strike)
    striker.start()
    with pytest.raises(BadFile, match=r"Nothing was saved\. Try again") as caught:
        ingest_file(stores, scientist, table="t", path=path, name="pipe.csv")
    striker.join()
    named = {signal.SIGKILL: "SIGKILL", signal.SIGABRT: "SIGABRT"}.get(how, f"signal {int(how)}")
    assert f"ended with {named} (" in str(caught.value)
    assert not stores.catalog.tables()
    assert stores.audit.search(action="data.ingest")[0].outcome is Outcome.FAILED


def test_endless_device_is_ended_by_its_memory(home: Path, scientist: Actor) -> None:
    stores = limited(home, upload_memory_mb=512)
    with pytest.raises(BadFile, match=r"^zero "):
        ingest_file(stores, scientist, table="t", path=Path("/dev/zero"), name="zero")
    assert not stores.catalog.tables()


def test_a_name_with_odd_characters_is_shown_unchanged(stores: Stores, scientist: Actor, tmp_path: Path) -> None:
    path = bring(tmp_path, b"a\n")
    name = 'x"; rm -rf ~\u202e🙂.csv'
    with pytest.raises(BadFile) as caught:
        preview_file(stores, scientist, table="t", path=path, name=name)
    assert str(caught.value) == f"{name} has a header and no rows, so there is nothing to save."


def test_nothing_is_left_in_the_temporary_folder(
    stores: Stores, scientist: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    path = bring(tmp_path, b"a\n1\n")
    preview = preview_file(stores, scientist, table="t", path=path, name="a.csv")
    ingest_file(stores, scientist, table="t", path=path, name="a.csv")
    refused_file = bring(tmp_path, b"a,a\n1,2\n", "bad.csv")
    with pytest.raises(BadFile):
        preview_file(stores, scientist, table="t", path=refused_file, name="bad.csv")
    assert list(folder.iterdir()) == []
    assert preview.sample.to_pydict() == {"a": [1]}, "the sample outlives the file it was read from"


def test_large_file_goes_through_whole(stores: Stores, scientist: Actor, tmp_path: Path) -> None:
    """More rows than one batch holds, with nulls, types and texts as they were."""
    path = tmp_path / "good.parquet"
    count = 200_000
    data = pa.table(
        {
            "id": pa.array(range(count)),
            "word": pa.array([None if n % 7 == 0 else f"w{n % 5}" for n in range(count)]).dictionary_encode(),
        }
    )
    pq.write_table(data, path)
    ingest_file(stores, scientist, table="t", path=path, name="good.parquet")
    result = ingest_file(stores, scientist, table="t", path=path, name="good.parquet")
    assert (result.version, result.rows_added) == (1, count)
    found = stores.engine.read(stores.catalog.resolve("t"), version=0).sort_by("id")
    assert found.column("id").to_pylist() == list(range(count))
    assert found.column("word").to_pylist()[:8] == [None, "w1", "w2", "w3", "w4", "w0", "w1", None]


def test_the_command_line_refuses_alike(
    command: Command,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("MODELLEDGER_SAMPLE", "false")
    monkeypatch.setenv("MODELLEDGER_UPLOAD_COLUMNS", "2")
    answer = command("ingest", "t", str(bring(tmp_path, b"a,b,c\n1,2,3\n")), "--json")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == "big.csv has 3 columns; at most 2 are allowed. Split the file.\n"
    assert not (home / "tables" / "t").exists()


def test_the_page_refuses_alike(
    opened: Opened,  # noqa: F811
    sample_stores: Stores,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODELLEDGER_UPLOAD_COLUMNS", "2")
    test = opened("tables", "scientist")
    test.selectbox(key="tables_ingest_into_0").set_value("iris_training_data")
    test.file_uploader(key="tables_ingest_file_0").set_value(("big.csv", b"a,b,c\n1,2,3\n", "text/csv"))
    test.run()
    assert not test.exception
    assert any("3 columns; at most 2 are allowed" in one.value.replace("\\", "") for one in test.error)
    assert "Save as a new version" not in [one.label for one in test.button]
