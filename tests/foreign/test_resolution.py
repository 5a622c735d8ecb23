"""One table has many spellings: each leads to the registered table, and none is opened to find out."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.delta.addresses import address
from core.delta.catalog import Catalog, RegisteredTables
from core.entities import Table


def tables(**uris: str) -> RegisteredTables:
    return RegisteredTables([Table(name=name, uri=uri) for name, uri in uris.items()])


@pytest.mark.parametrize(
    ("uri", "spellings"),
    [
        (
            "/lake/risk loans",
            [
                "loans",
                "/lake/risk loans",
                "/lake/risk loans/",
                "/lake//risk loans",
                "/lake/old/../risk loans",
                "file:/lake/risk%20loans",
                "file:///lake/risk%20loans/",
                "FILE:///lake/risk%20loans",
                "file://localhost/lake/risk%20loans",
                "delta.`/lake/risk loans`",
                " loans ",
            ],
        ),
        ("/lake/per%20cent", ["/lake/per%20cent", "file:///lake/per%2520cent"]),
        ("file:///lake/loans", ["/lake/loans", "file:/lake/loans"]),
        (
            "s3://bucket/lake/loans",
            [
                "s3a://bucket/lake/loans",
                "s3n://bucket/lake/loans/",
                "S3://Bucket/lake/loans",
                "s3://bucket//lake/loans",
                "s3://bucket/lake/%6Coans",
                "s3://key:secret@bucket/lake/loans",
            ],
        ),
        (
            "abfss://lake@account.dfs.core.windows.net/risk/loans",
            [
                "abfs://lake@account.dfs.core.windows.net/risk/loans",
                "wasbs://lake@account.blob.core.windows.net/risk/loans/",
                "https://account.blob.core.windows.net/lake/risk/loans",
                "https://account.dfs.core.windows.net/lake/risk/loans",
                "abfss://lake@ACCOUNT.dfs.core.windows.net/risk/loans",
            ],
        ),
        ("gs://bucket/loans", ["gcs://bucket/loans", "GS://bucket/loans/"]),
        ("dbfs:/lake/loans", ["/dbfs/lake/loans", "dbfs:///lake/loans/", "dbfs:/lake/./loans"]),
        ("hdfs://namenode:8020/lake/loans", ["hdfs://NameNode:8020/lake/loans/"]),
        (
            "main.risk.loans",
            ["main.risk.loans", "Main.Risk.Loans", "`main`.`risk`.`loans`", "loans"],
        ),
        ("risk.loans", ["spark_catalog.risk.loans", "hive_metastore.risk.loans"]),
    ],
)
def test_every_spelling_is_the_registered_table(uri: str, spellings: list[str]) -> None:
    registered = tables(loans=uri, other="/lake/other")
    for spelling in spellings:
        match = registered.match(spelling)
        assert match is not None, spelling
        assert (match.table.uri, match.weak) == (uri, None), spelling


@pytest.mark.parametrize(
    ("uri", "others"),
    [
        ("/lake/loans", ["/lake/loans2", "/lake", "/lake/loans/2026", "lake/loans", "./loans", "Loans", "", "file:"]),
        ("/lake/loans", ["file://server/lake/loans", "s3://lake/loans", "http://lake/loans", "/lake/loans\0"]),
        ("s3://bucket/loans", ["s3://bucket2/loans", "gs://bucket/loans", "s3://bucket/Loans", "s3://[x/loans"]),
        ("s3://bucket/a b", ["s3://bucket/a%2520b"]),
        (
            "abfss://lake@account.dfs.core.windows.net/loans",
            ["abfss://lake@another.dfs.core.windows.net/loans", "abfss://else@account.dfs.core.windows.net/loans"],
        ),
        ("main.risk.loans", ["main.sales.loans", "other.risk.loans", "main.risk.loans2"]),
    ],
)
def test_another_address_is_another_table(uri: str, others: list[str]) -> None:
    registered = tables(loans=uri)
    for other in others:
        assert registered.match(other) is None, other


@pytest.mark.parametrize(
    ("uri", "claimed"),
    [
        ("/lake/loans", "dbfs:/lake/loans"),
        ("dbfs:/lake/loans", "/lake/loans"),
        ("az://lake/risk/loans", "abfss://lake@account.dfs.core.windows.net/risk/loans"),
        ("abfss://lake@account.dfs.core.windows.net/risk/loans", "az://lake/risk/loans"),
        ("/lake/loans", "main.risk.loans"),
        ("risk.loans", "main.risk.loans"),
        ("main.risk.loans", "risk.loans"),
    ],
)
def test_spelling_that_leaves_a_part_out_is_a_weak_match(uri: str, claimed: str) -> None:
    match = tables(loans=uri, other="/lake/other").match(claimed)
    assert match is not None
    assert (match.table.name, match.weak) == ("loans", f"{claimed} may be another table than loans.")


def test_spelling_that_two_tables_may_mean_is_neither() -> None:
    both = tables(
        loans="abfss://lake@one.dfs.core.windows.net/loans", loans2="abfss://lake@two.dfs.core.windows.net/loans"
    )
    assert both.match("az://lake/loans") is None


def test_two_names_of_one_address_are_one_table() -> None:
    registered = tables(credit="s3://bucket/loans", loans="s3a://bucket/loans/")
    assert {registered.match(name).table.name for name in ("credit", "loans", "s3n://bucket/loans")} == {"credit"}  # type: ignore[union-attr]


def test_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "2026" / "loans").mkdir(parents=True)
    (tmp_path / "current").symlink_to(tmp_path / "2026")
    registered = tables(loans=str(tmp_path / "2026" / "loans"))
    assert registered.find(f"{tmp_path}/current/loans") is not None
    assert registered.find(f"file:{tmp_path}/current/../2026/loans") is not None
    assert tables(loans=str(tmp_path / "current" / "loans")).find(f"{tmp_path}/2026/loans") is not None


@pytest.mark.parametrize(
    "text", ["s3://[", "://", ":", "\ud800", "/\ud800", "file:///%ff", "file:" + "/a" * 5_000, "a.b", "x:y", "\0"]
)
def test_no_text_is_an_error(text: str) -> None:
    address(text)
    assert tables(loans="/lake/loans", far="s3://b/far").match(text) is None


def test_user_may_name_any_spelling_and_an_unregistered_path(tmp_path: Path) -> None:
    (tmp_path / "loans" / "_delta_log").mkdir(parents=True)
    (tmp_path / "loans" / "_delta_log" / f"{0:020d}.json").touch()
    (tmp_path / "elsewhere").mkdir()
    catalog = Catalog(None, tmp_path)
    for spelling in ("loans", f"{tmp_path}/loans/", f"file:{tmp_path}/loans", f"file://{tmp_path}/x/../loans"):
        assert catalog.resolve(spelling).name == "loans"
    assert catalog.resolve(f"{tmp_path}/elsewhere").uri == f"{tmp_path}/elsewhere"
    assert catalog.registered().find(f"{tmp_path}/elsewhere") is None
