"""An earlier moment on the pages: one address for all of them, a banner, what stood then, and nothing to change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from streamlit.testing.v1 import AppTest

from core.entities import Actor, Severity, Stage
from core.features.monitoring.findings import assign_finding, open_finding
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import request_promotion
from core.features.stores import Stores
from pages._ui.navigation import SCREENS
from tests.clock import datetime_at
from tests.pages.conftest import BATCHES, IRIS, MODEL, ROOT, Opened, said

ALL = sorted(screen.name for screen in SCREENS)
# The pages that show the state from the audit log alone.
FROM_THE_LOG = ("overview", "models", "lineage")
# Buttons that change nothing: the moment itself, what a page shows, files to take.
HARMLESS = {"Back to now", "Show this moment", "Run", "Read again", "Add to the filter"}


@pytest.fixture
def today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


@pytest.fixture
def served(sample_stores: Stores, scientist: Actor, manager: Actor) -> Stores:
    request = request_promotion(
        sample_stores, scientist, model=MODEL, version=2, to=Stage.PRODUCTION, reason="[good](http://x.y)"
    )
    approve(sample_stores, manager, request.id, reason="The numbers hold.")
    return sample_stores


@pytest.mark.parametrize("page", ALL)
def test_every_page_names_the_moment_and_offers_nothing_that_changes_something(
    page: str, opened: Opened, used: Stores
) -> None:
    """Right after the approval of version 1: no batch had been scored, version 3 had not been requested."""
    (approved,) = used.audit.search(action="promotion.decide", outcome="success")
    test = opened(page, "admin" if page == "admin" else "manager", as_of=f"event-{approved.sequence}")
    assert not test.exception
    assert not test.error
    told = said(test)
    assert f"State right after event {approved.sequence} of the audit log" in told
    assert "Nothing can be changed here." in told
    assert {button.label for button in test.button} <= HARMLESS
    assert not test.get("file_uploader")
    assert "more rows" not in told, "the reason of the request that came later"
    test.button("moment_now").click().run()
    assert "Nothing can be changed here." not in said(test)
    assert "as_of" not in test.query_params


@pytest.mark.parametrize("page", ALL)
def test_before_the_first_event_every_page_says_that_nothing_was_recorded(
    page: str, opened: Opened, sample_stores: Stores
) -> None:
    test = opened(page, "admin" if page == "admin" else "manager", as_of="2020-03-31T14:05:00+01:00")
    assert not test.exception
    told = said(test)
    assert "State as of 2020-03-31 13:05 UTC, from the audit log. The audit log begins later" in told
    if page in FROM_THE_LOG:
        assert "No model had been trained." in told


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("2999-01-01", r"2999\-01\-01 is in the future"),
        ("soon", "is not a valid date"),
        ("event-9999", "There is no event 9999"),
    ],
)
def test_a_text_that_names_no_moment_is_said_and_nothing_else_is_shown(
    text: str, sentence: str, opened: Opened, sample_stores: Stores
) -> None:
    test = opened("overview", as_of=text)
    assert [sentence in error.value for error in test.error] == [True]
    assert not test.title
    test.button("moment_now").click().run()
    assert test.title


def test_a_plain_day_is_its_end_in_utc(opened: Opened, served: Stores, today: str) -> None:
    assert f"State at the end of {today} (UTC), from the audit log." in said(opened("overview", as_of=today))


def test_the_chooser_puts_the_moment_into_the_address(opened: Opened, sample_stores: Stores) -> None:
    """AppTest's browser reports no zone: the viewer is in UTC."""
    test = opened("models")
    test.date_input("moment_day").set_value(datetime(2020, 3, 31).date()).run()
    test.time_input("moment_clock").set_value(datetime(2020, 3, 31, 14, 5).time()).run()
    test.button("moment_show").click().run()
    assert test.query_params["as_of"] == "2020-03-31T14:05:00Z"
    assert "State as of 2020-03-31 14:05 UTC" in said(test)


def test_an_event_of_the_audit_log_is_a_moment(opened: Opened, served: Stores) -> None:
    test = opened("audit", audit_event="2")
    test.button("audit_as_of").click().run()
    assert test.query_params["as_of"] == "event-2"
    assert "State right after event 2" in said(test)
    later = opened("audit", audit_event="3", as_of="event-2")
    assert "Event 3 was recorded after this moment." in said(later)
    assert all(table.value.get("No.", [0]).max() <= 2 for table in [later.dataframe[0]])


def test_overview_tells_what_served_and_who_approved_it(opened: Opened, served: Stores, today: str) -> None:
    # A stage that was moved behind the decisions' back is today's: it is not in what stood then.
    served.models.set_stages(MODEL, {2: Stage.ARCHIVED, 1: Stage.PRODUCTION})
    told = said(opened("overview", "auditor", as_of=today))
    assert "version 2" in told
    assert "approved by manager · requested by scientist" in told
    assert "The numbers hold." in told


def test_promotions_show_the_request_as_it_stood(opened: Opened, used: Stores) -> None:
    *_, requested = used.audit.search(action="promotion.request", outcome="success")
    test = opened("promotions", "manager", as_of=f"event-{requested.sequence}")
    (row,) = test.dataframe[0].value.to_dict("records")
    assert (row["Status"], row["Model version"], row["Decided by"]) == ("◐ open", f"{MODEL}/1", None)
    told = said(test)
    assert "Gates at the request" in told
    assert "Gates now" not in told
    assert "compared with no version" in told


def test_tables_and_sql_read_the_version_of_the_moment(opened: Opened, sample_stores: Stores) -> None:
    newest, *_, first = sample_stores.engine.history(sample_stores.catalog.resolve(IRIS))
    at = (first.timestamp + (newest.timestamp - first.timestamp) / 1000).isoformat().replace("+00:00", "Z")
    tables = opened("tables", "scientist", as_of=at, tables_table=IRIS, tables_tab="History")
    assert tables.query_params["tables_version"] == "0"
    sql = opened("sql", "scientist", as_of=at, sql_query=f"SELECT count(*) FROM {IRIS}")
    assert r"read from iris\_training\_data@0" in said(sql)
    now = opened("sql", "scientist", sql_query=f"SELECT count(*) FROM {IRIS}")
    assert rf"read from iris\_training\_data@{newest.version}" in said(now)


def test_predictions_show_the_batches_that_were_recorded_by_then(opened: Opened, used: Stores) -> None:
    """Two batches were scored, on version 0 and then on version 2."""
    second, first = used.audit.search(action="prediction.score", outcome="success")
    for moment, sources in ((first.sequence - 1, []), (first.sequence, ["@0"]), (second.sequence, ["@2", "@0"])):
        test = opened("predictions", "scientist", as_of=f"event-{moment}")
        assert not test.exception
        shown = list(test.dataframe[0].value["Data version"]) if test.dataframe else []
        assert shown == [f"{IRIS}{source}" for source in sources]
        assert ("Nothing had been scored by then." in said(test)) is (not sources)


def test_links_to_a_lineage_lead_to_their_model_version(opened: Opened, used: Stores) -> None:
    moment = f"event-{used.audit.head()[0]}"
    for address in ({"lineage_batch": BATCHES[0]}, {"lineage_model": MODEL, "lineage_version": "1"}):
        test = opened("lineage", "auditor", as_of=moment, **address)
        assert test.query_params["as_of_lineage"] == f"{MODEL}/1"


def test_who_may_export_takes_dossier_and_bundle_from_models(opened: Opened, served: Stores) -> None:
    test = opened("models", "auditor", models_model=MODEL)
    assert not test.exception
    labels = {element.label for element in test.get("download_button")}
    assert {"Dossier (PDF)", "Dossier (HTML)", "Evidence bundle"} <= labels
    other = opened("models", "scientist", models_model=MODEL)
    assert "Evidence bundle" not in {element.label for element in other.get("download_button")}
    assert "Only auditors and managers can export" in said(other)


def test_findings_are_shown_as_they_stood_and_links_keep_the_moment(
    opened: Opened, sample_stores: Stores, auditor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened yesterday for the manager; ana has it since today."""
    today = datetime.now(UTC)
    yesterday = today - timedelta(days=1)
    with monkeypatch.context() as earlier:
        for module in ("core.audit.log", "core.features.monitoring.findings"):
            earlier.setattr(f"{module}.datetime", datetime_at(lambda: yesterday))
        one = open_finding(sample_stores, auditor, subject=f"{MODEL}/3", detail="odd rows", severity=Severity.HIGH)
    # The sample's own events carry later times: only the number says that the finding was opened after them.
    moment = f"event-{sample_stores.audit.head()[0]}"
    assign_finding(sample_stores, auditor, one.id, owner="ana", due=one.due, reason="she knows it")
    address = {"audit_tab": "Findings", "finding": one.id}
    then = opened("audit", "auditor", as_of=moment, **address)
    assert not then.exception
    assert "owner: manager" in said(then)
    assert "owner: ana" in said(opened("audit", "auditor", **address))
    before = opened("audit", "auditor", as_of="event-1", **address)
    assert "No finding was open at that moment." in said(before)
    assert not before.exception
    overview = opened("overview", "auditor", as_of=moment)
    urls = [link.proto.url for link in overview.get("link_button")]
    assert f"/audit?audit_tab=Findings&finding={one.id}&as_of={moment}" in urls


def test_navigation_keeps_the_moment_and_an_earlier_address_of_the_page_ends_it(
    opened: Opened, sample_stores: Stores
) -> None:
    """A click in the navigation leaves out the parameters of the address, as the browser does here."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=90)
    app.query_params["as_of"] = "event-2"
    app.run()
    for page in ("tables", "audit", "overview"):
        app.query_params.clear()
        app.switch_page(f"pages/{page}.py").run()
        assert app.query_params["as_of"] == "event-2"
        assert "State right after event 2" in said(app)
    app.query_params.clear()
    app.run()
    assert "as_of" not in app.query_params
    assert "State right after event 2" not in said(app)
