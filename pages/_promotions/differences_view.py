"""The tab Differences: what differs between the registry and the decisions, with the forms that resolve it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.entities import Actor, Difference
from core.errors import CoreError
from core.features.monitoring.reconcile import (
    NOT_TAKEN_OVER,
    UNFINISHED_ACTION,
    UNFINISHED_REQUEST,
    find_differences,
    find_unfinished,
)
from core.features.stores import Stores
from core.features.takeover.acceptances import UntakenModel, list_untaken
from pages._promotions import promotion_forms, takeover_view
from pages._ui import escaping, links, messages
from pages._ui.texts import t


def draw(stores: Stores, actor: Actor) -> None:
    """Show what differs between the registry and the decisions. ModelLedger repairs nothing silently."""
    untaken: tuple[UntakenModel, ...] = ()
    try:
        found = tuple(d for d in find_differences(stores, actor) if d.kind != NOT_TAKEN_OVER)
        untaken = list_untaken(stores, actor)
    except CoreError as error:
        # Unfinished actions are in ModelLedger's own database.
        messages.show_error(error)
        found = find_unfinished(stores)
        if not found:
            return
    takeover_view.draw(stores, actor, untaken)
    if not found:
        st.success(
            t("No other difference. No action is unfinished.")
            if untaken
            else t("Registry and decisions agree. No action is unfinished."),
            icon=":material/check:",
        )
        return
    _table(found)
    links.link("audit", t("Show as findings, with owner and due date"), audit_tab=t("Findings"))
    for difference in found:
        if difference.kind == UNFINISHED_REQUEST and difference.request_id:
            promotion_forms.resolve_form(stores, actor, difference.request_id, difference.detail)
    actions = [difference for difference in found if difference.kind == UNFINISHED_ACTION]
    promotion_forms.close_form(stores, actor, actions)


def _table(differences: Sequence[Difference]) -> None:
    """Show one line per difference between the registry and the decisions."""
    rows = [
        {
            t("Kind"): difference.kind,
            t("Subject"): difference.subject,
            t("Decided"): difference.expected,
            t("Found"): difference.found,
            t("Detail"): difference.detail,
            t("Id"): difference.request_id,
        }
        for difference in differences
    ]
    escaping.table(pd.DataFrame(rows), placeholder="–", alt=t("Differences between the registry and the decisions"))
