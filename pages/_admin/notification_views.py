"""Notification channels on a page: who gets what, how the last delivery ended, and a button for a test message."""

from __future__ import annotations

import streamlit as st

from core.access.permissions import Action
from core.entities import Actor
from core.features.notifications.status import ChannelState, list_channels, send_test
from core.features.stores import Stores
from pages._ui import escaping, messages, session
from pages._ui.texts import t, tn


def draw(stores: Stores, actor: Actor) -> None:
    """Draw each channel of the settings with its state."""
    channels = list_channels(stores, actor)
    if not channels:
        st.info(
            t(
                "No notifications are configured. Requests, decisions, findings and failed jobs can be reported by "
                "webhook and by e-mail; docs/notifications.md shows the settings."
            ),
            icon=":material/notifications_off:",
        )
        return
    st.caption(t("The worker sends these messages. A failed delivery is tried again and delays no decision."))
    for channel in channels:
        with st.container(border=True):
            _channel(stores, actor, channel)


def _channel(stores: Stores, actor: Actor, channel: ChannelState) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if channel.progress is not None and channel.progress.stopped:
            st.badge(t("stopped"), icon=":material/block:", color="red")
        elif not channel.is_ok:
            st.badge(t("fails"), icon=":material/error:", color="red")
        elif channel.progress is not None and channel.progress.last_sent is not None:
            st.badge(t("works"), icon=":material/check:", color="green")
        else:
            st.badge(t("nothing sent yet"), icon=":material/schedule:", color="gray")
        st.markdown(f"**{messages.plain(channel.name)}**", width="content")
        receiver = (
            t("e-mail to {place}", place=channel.place)
            if channel.kind == "email"
            else t("webhook ({format}) to {place}", format=channel.kind, place=channel.place)
        )
        escaping.text(receiver, width="content")
    if not channel.is_ok:
        escaping.text(channel.summary)
    st.caption(" · ".join(_facts(channel)))
    if not session.may(actor, Action.NOTIFICATION_SEND):
        return
    if st.button(t("Send test message"), icon=":material/send:", key=f"admin_notify_{channel.name}"):
        with messages.show_errors(), st.spinner(t("Waiting for the answer of the receiver …")):
            send_test(stores, actor, channel.name)
            st.success(t("The receiver accepted the test message."), icon=":material/check:")


def _facts(channel: ChannelState) -> list[str]:
    """Return what the channel gets and how far it is, as Markdown."""
    nothing = t("all")
    facts = [
        t("Events: {events}", events=", ".join(channel.events) or nothing),
        t("models: {models}", models=messages.plain(", ".join(channel.models) or nothing)),
        t("roles: {roles}", roles=", ".join(channel.roles) or nothing),
        tn("{n} pending message", "{n} pending messages", channel.pending),
    ]
    progress = channel.progress
    if progress is None:
        return facts
    if progress.given_up:
        facts.append(tn("{n} message given up", "{n} messages given up", progress.given_up))
    if progress.last_sent is not None:
        facts.append(t("last success {time}", time=messages.plain(messages.local_time(progress.last_sent))))
    if progress.last_error_at is not None:
        facts.append(t("last error {time}", time=messages.plain(messages.local_time(progress.last_error_at))))
    if progress.next_try is not None:
        facts.append(t("next try {time}", time=messages.plain(messages.local_time(progress.next_try))))
    return facts
