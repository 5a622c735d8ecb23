"""Links to other pages; the address holds what the other page shows."""

from __future__ import annotations

from urllib.parse import urlencode

import streamlit as st
from streamlit.errors import StreamlitAPIException, StreamlitPageNotFoundError

from pages._ui.moment import chosen

_ICONS = {
    "tables": ":material/table:",
    "sql": ":material/terminal:",
    "training": ":material/model_training:",
    "runs": ":material/compare:",
    "models": ":material/deployed_code:",
    "promotions": ":material/gavel:",
    "predictions": ":material/insights:",
    "lineage": ":material/account_tree:",
    "audit": ":material/receipt_long:",
}


def link(page: str, label: str, **address: str) -> None:
    """Draw a link to *page*, at the moment that this page shows. *label* is Markdown: use messages.plain for data."""
    icon = _ICONS[page]
    address |= chosen.address()
    try:
        st.page_link(f"pages/{page}.py", label=label, icon=icon, query_params=address)
    except StreamlitPageNotFoundError:
        # The page was opened by its own address before the front page: there is no navigation yet.
        st.link_button(label, f"/{page}?{urlencode(address)}", icon=icon, type="tertiary")


def go(page: str, label: str, **address: str) -> None:
    """Open *page*, as a click on its link does. Without navigation a link with *label* is drawn instead."""
    try:
        st.switch_page(f"pages/{page}.py", query_params=address | chosen.address())
    except StreamlitAPIException:
        link(page, label, **address)
