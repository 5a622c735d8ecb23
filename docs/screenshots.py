"""Takes the screenshots for the README from the running app, with real decisions and predictions.

Needs Chromium. `make screenshots` runs it; it writes docs/screenshots/*.png.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.access.identity import demo_actor
from core.bootstrap import open_stores
from core.entities import ModelVersionKey, Stage
from core.features.admin.sample import build_sample
from core.features.head_to_head.head_to_head import head_to_head
from core.features.kpi_change.why_moved import why_moved
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import request_promotion
from core.features.scoring.score import score
from core.settings import load_settings
from tests.browser.conftest import clean_environment, free_port, settled, start_server, stop_server
from tests.chromium import CHROMIUM, QUIET

FOLDER = Path(__file__).resolve().parent / "screenshots"
WIDTH = 1360
_VERSION_3 = "models?models_model=iris_classifier&models_version=3"
# File, address, identity, colour scheme.
SCREENSHOTS = (
    ("overview", "", "manager", "light"),
    ("tables", "tables?tables_table=iris_training_data&tables_version=1", "scientist", "light"),
    ("tables-history", "tables?tables_table=iris_training_data&tables_tab=History", "auditor", "light"),
    ("sql", "sql", "auditor", "light"),
    ("training", "training?training_recipe=iris_classifier", "scientist", "light"),
    ("runs", "runs?runs_text=iris", "scientist", "light"),
    ("runs-bars", "runs?runs_text=iris&runs_view=Bars", "scientist", "dark"),
    ("models", "models?models_model=iris_classifier&models_version=2", "auditor", "light"),
    ("pictures", f"{_VERSION_3}&models_tab=Pictures", "scientist", "light"),
    ("pictures-dark", f"{_VERSION_3}&models_tab=Pictures", "scientist", "dark"),
    ("head-to-head", f"{_VERSION_3}&models_tab=Head+to+head", "scientist", "light"),
    ("why-moved-dark", f"{_VERSION_3}&models_tab=Why+did+the+KPI+move%3F", "scientist", "dark"),
    ("promotions", "promotions?promotions_status=waiting", "manager", "light"),
    ("promotions-dark", "promotions?promotions_status=waiting", "manager", "dark"),
    ("roll-back", "promotions?promotions_tab=Roll+back", "manager", "light"),
    ("predictions", "predictions", "scientist", "light"),
    (
        "lineage",
        "lineage?lineage_from=Model+version&lineage_model=iris_classifier&lineage_version=2",
        "auditor",
        "light",
    ),
    ("lineage-dark", "lineage?lineage_from=Prediction+batch", "auditor", "dark"),
    ("audit", "audit", "auditor", "light"),
    ("settings", "admin", "admin", "light"),
)


def build_workspace(home: Path) -> None:
    """Build the sample workspace with two decisions, two prediction batches and a pending request."""
    stores = open_stores(load_settings(home=home))
    scientist, manager = demo_actor("scientist", channel="cli"), demo_actor("manager", channel="cli")
    build_sample(stores)
    for version, request_reason, reason in (
        (1, "The first version.", "No earlier version to compare with."),
        (2, "Trained on twice the rows.", "Every KPI is better."),
    ):
        request = request_promotion(
            stores, scientist, model="iris_classifier", version=version, to=Stage.PRODUCTION, reason=request_reason
        )
        approve(stores, manager, request.id, reason=reason)
    for version in (0, 2):
        score(
            stores,
            scientist,
            model="iris_classifier",
            table="iris_training_data",
            version=version,
            into="iris_classifier_predictions",
            reason="Weekly scoring.",
        )
    first, second = (ModelVersionKey(model="iris_classifier", version=version) for version in (2, 3))
    head_to_head(stores, scientist, first, second, table="iris_training_data", version=2, reason="Before the request.")
    why_moved(stores, scientist, first, second, reason="Is it the data?")
    request_promotion(
        stores,
        scientist,
        model="iris_classifier",
        version=3,
        to=Stage.PRODUCTION,
        reason="150 rows instead of 100; precision is up.",
    )


def take_screenshot(page: Page, url: str, file: Path) -> None:
    """Save a screenshot of the whole page, at most 3,200 pixels high."""
    page.set_viewport_size({"width": WIDTH, "height": 900})
    page.goto(url)
    settled(page)
    page.wait_for_timeout(1_500)
    settled(page)
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": WIDTH, "height": max(900, min(int(height) + 8, 3_200))})
    page.wait_for_timeout(600)
    page.screenshot(path=file)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "workspace"
        build_workspace(home)
        port = free_port()
        server = start_server(clean_environment(home), port)
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
                for name, address, identity, scheme in SCREENSHOTS:
                    context = browser.new_context(color_scheme=scheme, timezone_id="Europe/Berlin")  # type: ignore[arg-type]
                    separator = "&" if "?" in address else "?"
                    take_screenshot(
                        context.new_page(),
                        f"http://127.0.0.1:{port}/{address}{separator}as={identity}",
                        FOLDER / f"{name}.png",
                    )
                    context.close()
                    print(name)
                browser.close()
        finally:
            stop_server(server)


if __name__ == "__main__":
    main()
