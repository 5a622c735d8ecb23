"""An address on this machine's disk is decoded once, and a plain path not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.uris import local_path, logged_path


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///lake/loans", "/lake/loans"),
        ("file:/lake/loans", "/lake/loans"),
        ("file:///lake/Kredite%20%C3%BC", "/lake/Kredite ü"),
        ("file:///lake/per%2520cent", "/lake/per%20cent"),
        ("/lake/per%20cent", "/lake/per%20cent"),
        ("lake/loans", "lake/loans"),
        ("s3://bucket/loans", None),
        ("abfss://lake@account.dfs.core.windows.net/loans", None),
    ],
)
def test_path_of_a_uri_is_decoded_once(uri: str, path: str | None) -> None:
    assert local_path(uri) == path


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert local_path("~/lake") == "/home/ann/lake"


def test_uri_that_python_writes_leads_back_to_its_path(tmp_path: Path) -> None:
    for name in ("a b", "per%20cent", "hash#1", "what?", "ü"):
        assert local_path((tmp_path / name).as_uri()) == str(tmp_path / name)


@pytest.mark.parametrize(
    ("logged", "path"),
    [
        ("part-0.parquet", "part-0.parquet"),
        # Spark writes the partition value 2026-11-05 10:20 into a folder whose name is itself escaped.
        ("d=2026-11-05%2010%253A20/part-0.parquet", "d=2026-11-05 10%3A20/part-0.parquet"),
        ("file:///lake/d=2026-11-05%2010%253A20/part-0.parquet", "/lake/d=2026-11-05 10%3A20/part-0.parquet"),
        ("/lake/a%20b.parquet", "/lake/a b.parquet"),
        ("s3://bucket/a%20b.parquet", "s3://bucket/a b.parquet"),
    ],
)
def test_entry_of_a_log_is_decoded_once(logged: str, path: str) -> None:
    assert logged_path(logged) == path
