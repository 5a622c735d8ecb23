"""A process of a test's own begins at its work, whatever this process ran before."""

from __future__ import annotations

import sys
from pathlib import Path

from streamlit.testing.v1 import AppTest

from tests.features.forked import start


def test_page_that_ran_here_is_not_run_again_there(tmp_path: Path) -> None:
    told = tmp_path / "told"
    page = tmp_path / "page.py"
    page.write_text(f"with open({str(told)!r}, 'a') as file:\n    file.write('the page ran\\n')\n")
    assert not AppTest.from_file(str(page)).run().exception
    assert sys.modules["__main__"].__file__ == str(page)

    work = tmp_path / "work"
    child = start(work.write_text, "done")
    assert child.wait() == 0, child.error
    assert work.read_text() == "done"
    assert told.read_text() == "the page ran\n"
