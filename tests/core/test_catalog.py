"""Names of tables: what counts as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.delta.catalog import Catalog
from core.errors import TableNotFound


def test_folder_whose_first_commit_never_came_is_no_table(tmp_path: Path) -> None:
    """Spark makes the log's folder, and one in it, before it writes."""
    (tmp_path / "begun" / "_delta_log" / "_commits").mkdir(parents=True)
    catalog = Catalog(None, tmp_path)
    assert catalog.tables() == ()
    with pytest.raises(TableNotFound, match="No tables are registered yet"):
        catalog.resolve("begun")
    assert catalog.place("begun").uri == str(tmp_path / "begun"), "the name is free"


def test_folder_with_a_damaged_log_is_a_table_that_can_be_asked_about(tmp_path: Path) -> None:
    log = tmp_path / "damaged" / "_delta_log"
    log.mkdir(parents=True)
    (log / "00000000000000000000.json").write_bytes(b"")
    assert [table.name for table in Catalog(None, tmp_path).tables()] == ["damaged"]


def test_path_from_here_is_the_same_table_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "orders.delta" / "_delta_log").mkdir(parents=True)
    (tmp_path / "lake" / "stock" / "_delta_log").mkdir(parents=True)
    (tmp_path / "lake" / "stock" / "_delta_log" / f"{0:020d}.json").touch()
    catalog = Catalog("lake, orders=orders.delta, old=./archive.delta, one=loans, far=s3://lake/far", tmp_path)
    assert {table.name: table.uri for table in catalog.tables()} == {
        "far": "s3://lake/far",
        "old": str(tmp_path / "archive.delta"),
        "one": str(tmp_path / "loans"),
        "orders": str(tmp_path / "orders.delta"),
        "stock": str(tmp_path / "lake" / "stock"),
    }
    assert catalog.place("new").uri == str(tmp_path / "lake" / "new")


def test_name_in_sparks_catalog_stays_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    catalog = Catalog("loans=main.risk.loans,stock=risk.stock,kept=file:///lake/kept", tmp_path)
    uris = {table.name: table.uri for table in catalog.tables()}
    assert uris == {"loans": "main.risk.loans", "stock": "risk.stock", "kept": "file:///lake/kept"}
