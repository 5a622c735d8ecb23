"""A manager who approves what has changed since it was asked for is told on the page; the request has expired."""

from __future__ import annotations

from core.entities import Actor, RequestStatus, Stage
from core.features.promotion.request_promotion import request_promotion
from core.features.stores import Stores
from tests.features.test_evidence import CHANGES, MODEL, Tamper
from tests.pages.conftest import Opened, said


@CHANGES
def test_approving_what_has_changed_since_is_told_and_ends_the_request(
    opened: Opened, sample_stores: Stores, scientist: Actor, tamper: Tamper, named: str
) -> None:
    asked = request_promotion(sample_stores, scientist, model=MODEL, version=3, to=Stage.PRODUCTION, reason="please")
    test = opened("promotions", "manager")
    tamper(sample_stores, 3)
    test.text_area[0].set_value("fine")
    next(button for button in test.button if button.label == "Approve").click()
    test.run()
    assert not test.exception
    errors = [error.value.replace("\\", "") for error in test.error]
    (told,) = [error for error in errors if f"Request {asked.id} has expired" in error]
    assert named in told
    assert sample_stores.decisions.get(asked.id).status is RequestStatus.EXPIRED
    test = opened("promotions", "manager")
    assert "expired" in said(test)
    assert "Approve" not in {button.label for button in test.button}
