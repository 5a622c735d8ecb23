"""What runs without a page's guard (a download made when it is asked for, a job that is watched) asks who is here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.access.identity import sign_in_digest
from core.audit.log import AuditLog
from core.entities import Actor, ModelVersionKey, Role
from core.errors import DatabaseUnavailable, NotSignedIn
from core.features.admin.sign_in import enable_provider
from core.features.stores import Stores
from pages._audit import proof_forms
from pages._models import evidence_downloads
from pages._ui import downloads, export_button, session, sign_in
from tests.clock import datetime_at

ADA = Actor(name="ada@bank.example", roles=frozenset({Role.AUDITOR}), channel="page")
Made = dict[str, Callable[[], bytes]]


class Clock:
    now = datetime.now(UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    Clock.now = datetime.now(UTC)
    monkeypatch.setattr(sign_in, "datetime", datetime_at(lambda: Clock.now))
    return Clock


@pytest.fixture
def claims(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: type[Clock]) -> dict[str, Any]:
    """Somebody is signed in for ten minutes."""
    secrets = tmp_path / "secrets.toml"
    secrets.write_text('[auth]\nclient_id = "modelledger"\n')
    monkeypatch.setenv("MODELLEDGER_SECRETS", str(secrets))
    st.cache_resource.clear()
    known = {"sub": "ada", "email": ADA.name, "exp": (clock.now + timedelta(minutes=10)).timestamp()}
    monkeypatch.setattr(sign_in, "_claims", lambda: known)
    return known


@pytest.fixture
def made(claims: dict[str, Any], stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Every download of the pages by its label, as Streamlit would call it."""
    found: Made = {}
    monkeypatch.setattr(st, "download_button", lambda label, make, *_, **__: found.update({label: make}))
    proof_forms.export_form(stores, ADA)
    evidence_downloads.draw(stores, ADA, ModelVersionKey(model="none", version=1))
    export_button.csv_button(lambda: b"id\n1\n", "rows", 1, key="rows")
    return found


LABELS = [
    *("All events as JSON lines", "All events as CSV", "Signed head for printing"),
    *("Dossier (PDF)", "Dossier (HTML)", "Evidence bundle"),
    "All rows as CSV",
]


def test_who_is_signed_in_gets_the_file(made: Made, stores: Stores) -> None:
    assert sorted(made) == sorted(LABELS)
    assert b"audit.export" in made["All events as CSV"]()


@pytest.mark.parametrize("language", ["en", "es"])
def test_dossier_starts_in_the_language_of_the_viewer(
    claims: dict[str, Any], stores: Stores, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    offered: list[str] = []
    monkeypatch.setattr(evidence_downloads, "preferred_language", lambda: language)
    monkeypatch.setattr(
        st,
        "selectbox",
        lambda _, choices, *, index, format_func, **__: offered.extend(map(format_func, choices)) or choices[index],
    )
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(
        evidence_downloads, "export_bundle", lambda *_, **facts: made.append(facts) or SimpleNamespace(data=b"")
    )
    monkeypatch.setattr(
        st, "download_button", lambda label, make, *_, **__: make() if label == "Evidence bundle" else None
    )
    evidence_downloads.draw(stores, ADA, ModelVersionKey(model="none", version=1))
    assert offered == ["English", "Español"]
    assert made == [{"language": language}]


@pytest.mark.parametrize("label", LABELS)
def test_an_open_tab_takes_nothing_away_after_expiry(
    made: Made, stores: Stores, clock: type[Clock], label: str
) -> None:
    before = stores.audit.head()
    clock.now += timedelta(minutes=10)
    with pytest.raises(downloads.DownloadRefused, match="The sign-in expired"):
        made[label]()
    assert stores.audit.head() == before, "nothing was exported"


@pytest.mark.parametrize("label", LABELS)
def test_an_open_tab_takes_nothing_away_after_sign_out(
    made: Made, claims: dict[str, Any], stores: Stores, clock: type[Clock], label: str
) -> None:
    stores.sign_outs.add(sign_in_digest(claims), expires=clock.now + timedelta(minutes=10), now=clock.now)
    with pytest.raises(downloads.DownloadRefused, match="This sign-in was ended"):
        made[label]()


def test_what_goes_wrong_is_logged_as_one_sentence_without_a_secret(
    made: Made, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise DatabaseUnavailable("postgresql://ledger:hunter22@db/x does not answer") from OSError("hunter22")

    monkeypatch.setattr(AuditLog, "append", away)
    try:
        made["All events as CSV"]()
    except downloads.DownloadRefused:
        logging.getLogger("test").exception("as Streamlit does")
    assert "does not answer" in caplog.text
    assert "hunter22" not in caplog.text


def test_the_page_tells_it_with_its_next_run(home: Path) -> None:
    def view() -> None:
        import streamlit as st

        from core.errors import NotSignedIn
        from pages._ui import downloads

        st.session_state.setdefault("downloads_failures", [NotSignedIn("The *sign-in* expired; sign in again.")])
        downloads.show_failures()

    test = AppTest.from_function(view).run()
    assert [one.value for one in test.error] == ["The download failed. The \\*sign\\-in\\* expired; sign in again\\."]
    assert not test.run().error


def test_demo_identities_end_in_an_open_tab_too(home: Path, stores: Stores) -> None:
    st.cache_resource.clear()
    still_here = session.sign_in_check()
    still_here()
    enable_provider(stores, channel="test")
    with pytest.raises(Exception, match="demo identities are not accepted"):
        still_here()


def test_a_job_that_is_watched_is_neither_shown_nor_cancelled_after_expiry(
    stores: Stores, claims: dict[str, Any], clock: type[Clock]
) -> None:
    job = stores.jobs.submit("train", {"recipe": "none"}, ADA)
    stores.jobs.claim("test")

    def view(job_id: str) -> None:
        from dataclasses import replace

        from core.bootstrap import open_stores
        from core.entities import Role
        from pages._ui import jobs, session
        from tests.pages.test_presence import ADA, Clock

        still_here = session.sign_in_check()
        Clock.now = Clock.later
        sam = replace(ADA, roles=frozenset({Role.SCIENTIST}))
        jobs._live(open_stores(), sam, job_id, "watched", still_here)

    Clock.later = clock.now  # type: ignore[attr-defined]
    assert [one.label for one in AppTest.from_function(view, args=(job.id,)).run().button] == ["Cancel"]
    Clock.later = clock.now + timedelta(minutes=10)  # type: ignore[attr-defined]
    test = AppTest.from_function(view, args=(job.id,)).run()
    assert "The sign\\-in expired" in test.error[0].value
    assert not test.button
    assert not stores.jobs.get(job.id).cancel_requested


def test_nobody_is_present_who_never_signed_in(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "_claims", lambda: None)
    with pytest.raises(NotSignedIn):
        sign_in.sign_in_check(stores)
