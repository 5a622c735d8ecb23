"""Description and tags of a model version or of its model: shown, and edited in forms, one service call a save."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import pandas as pd
import streamlit as st

from core.access.permissions import Action
from core.entities import Actor, ModelVersionKey
from core.features.runs.edit_model import (
    LONGEST_DESCRIPTION,
    LONGEST_TAG_NAME,
    LONGEST_TAG_VALUE,
    Texts,
    describe,
    remove_tag,
    set_tag,
    show_texts,
)
from core.features.runs.own_tags import why_protected
from core.features.stores import Stores
from core.texts import text
from pages._ui import escaping, messages, session
from pages._ui.texts import t, translated

Shown = TypeVar("Shown")

_LONGEST_REASON = 4_000
_LONGEST_CELL = 400


_OF_VERSION, _OF_MODEL = text("This version"), text("The model")


def draw(stores: Stores, actor: Actor, key: ModelVersionKey) -> None:
    """Show the texts of the version or of its model, and the forms for who may edit them."""
    chosen = st.segmented_control(
        t("Texts of"),
        (_OF_VERSION, _OF_MODEL),
        format_func=translated,
        default=_OF_VERSION,
        required=True,
        key="models_texts_of",
        bind="query-params",
    )
    with messages.show_errors():
        messages.show_notification()
        version = None if chosen == _OF_MODEL else key.version
        texts = show_texts(stores, actor, key.model, version=version)
        may_edit = session.may(actor, Action.MODEL_EDIT)
        if may_edit:
            _description_form(stores, actor, texts)
        else:
            roles = messages.role_names(Action.MODEL_EDIT)
            st.info(t("Only these roles can edit descriptions and tags: {roles}.", roles=roles))
            escaping.text(texts.description or t("No description yet."))
        _tags_table(stores, texts)
        if may_edit:
            _tag_form(stores, actor, texts)


def _description_form(stores: Stores, actor: Actor, texts: Texts) -> None:
    """Edit the description. A person who typed while somebody else saved keeps the draft and sees the present text."""
    key = _form_key("description", texts)
    seen = _shown_before(key, texts.description)
    if key not in st.session_state:
        st.session_state[key] = st.session_state[f"{key}.first"] = texts.description
    if st.session_state.get(f"{key}.first") != texts.description:
        st.warning(t("The description was changed after you opened this form. It is now:"), icon=":material/sync:")
        escaping.text(texts.description or t("No description."))
    with st.form(f"{key}.form"):
        description = st.text_area(t("Description"), key=key, max_chars=LONGEST_DESCRIPTION, height=140) or ""
        reason = _reason_field()
        if st.form_submit_button(t("Save description"), type="primary", icon=":material/save:"):
            with messages.show_errors():
                describe(
                    stores,
                    actor,
                    texts.model,
                    version=texts.version,
                    description=description,
                    seen=seen,
                    reason=reason,
                )
                _end_edit(key, t("The description of {subject} is saved.", subject=texts.subject))


def _tags_table(stores: Stores, texts: Texts) -> None:
    st.markdown(f"**{t('Tags')}**")
    if not texts.tags:
        st.caption(t("No tags yet."))
        return
    protected = {name: why_protected(stores, name) is not None for name in texts.tags}
    rows = [
        {t("Tag"): name, t("Value"): _cut(value), t("Can be edited"): t("no") if protected[name] else t("yes")}
        for name, value in sorted(texts.tags.items(), key=lambda tag: (protected[tag[0]], tag))
    ]
    escaping.table(
        pd.DataFrame(rows), height=min(36 * (len(rows) + 1) + 3, 360), alt=t("Tags of {subject}", subject=texts.subject)
    )
    if any(protected.values()):
        st.caption(t("Tags of MLflow and ModelLedger and tags that name the training data cannot be edited."))


def _cut(value: str) -> str:
    return value if len(value) <= _LONGEST_CELL else f"{value[:_LONGEST_CELL]}…"


def _tag_form(stores: Stores, actor: Actor, texts: Texts) -> None:
    """Set or remove one tag; a tag that somebody changed after it was shown stays as it is."""
    key = _form_key("tag", texts)
    seen: Mapping[str, str] = _shown_before(key, dict(texts.tags))
    with st.form(f"{key}.form"):
        left, right = st.columns(2)
        name = left.text_input(t("Tag"), key=f"{key}.name", max_chars=LONGEST_TAG_NAME)
        most = LONGEST_TAG_VALUE["model" if texts.version is None else "version"]
        value = right.text_input(t("Value"), key=f"{key}.value", max_chars=most)
        reason = _reason_field()
        with st.container(horizontal=True):
            is_set = st.form_submit_button(t("Set tag"), type="primary", icon=":material/sell:")
            is_removed = st.form_submit_button(t("Remove tag"), icon=":material/delete:")
    if is_set or is_removed:
        with messages.show_errors():
            if is_set:
                set_tag(stores, actor, texts.model, name, value, version=texts.version, seen=seen, reason=reason)
                done = t("The tag {name} of {subject} is set.", name=name, subject=texts.subject)
            else:
                remove_tag(stores, actor, texts.model, name, version=texts.version, seen=seen, reason=reason)
                done = t("The tag {name} of {subject} is removed.", name=name, subject=texts.subject)
            _end_edit(key, done)


def _reason_field() -> str:
    return st.text_input(t("Reason (kept in the audit log)"), max_chars=_LONGEST_REASON)


def _form_key(form: str, texts: Texts) -> str:
    """Return the key of a form's fields. It changes with each edit, so that the next form is empty again."""
    return f"models_{form}_{st.session_state.get('models_edits', 0)}_{texts.subject}"


def _shown_before(key: str, now: Shown) -> Shown:
    """Return what the last run showed: the state that the reader saw. This run shows *now*."""
    before: Shown = st.session_state.get(f"{key}.shown", now)
    st.session_state[f"{key}.shown"] = now
    return before


def _end_edit(key: str, sentence: str) -> None:
    st.session_state["models_edits"] = st.session_state.get("models_edits", 0) + 1
    messages.notify(sentence)
    st.rerun()
