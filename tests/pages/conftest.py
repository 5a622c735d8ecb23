"""Pages through AppTest, opened cold: the page's own file, before app.py ever ran."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.apptest import components_are_looked_for_once  # noqa: F401 -- for every page here

ROOT = Path(__file__).resolve().parents[2]

Opened = Callable[..., AppTest]


@pytest.fixture
def opened(home: Path) -> Iterator[Opened]:
    """opened("tables", "manager", tables_table="…"): the page as that demo identity, with that address."""
    st.cache_resource.clear()
    st.cache_data.clear()

    def page(name: str, identity: str = "auditor", **address: str) -> AppTest:
        test = AppTest.from_file(str(ROOT / "pages" / f"{name}.py"), default_timeout=90)
        test.query_params["as"] = identity
        for key, value in address.items():
            test.query_params[key] = value
        return test.run()

    yield page
    st.cache_resource.clear()
    st.cache_data.clear()


def said(test: AppTest) -> str:
    """Everything that the page tells in words: messages, captions, texts, titles."""
    kinds = ("title", "header", "subheader", "markdown", "caption", "info", "warning", "error", "success", "text")
    return "\n".join(str(element.value) for kind in kinds for element in getattr(test, kind))
