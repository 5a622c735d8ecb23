"""The chooser of the moment in the sidebar, and the banner across every page that shows an earlier state."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import streamlit as st

from core.errors import CoreError
from core.features.history.moment import Moment, find_moment, local_times, time_name
from core.features.stores import Stores
from pages._ui import messages
from pages._ui.moment import chosen
from pages._ui.texts import t


def chooser() -> None:
    """Draw the choice of a day and a time of day, in the viewer's zone."""
    chosen.follow_address()
    label = t("As of: an earlier moment") if chosen.name() else t("As of: now")
    with st.sidebar, st.popover(label, icon=":material/history:", width="stretch", key="moment_chooser"):
        zone = messages.viewer_zone()
        day = st.date_input(
            t("Day"), value=None, format="YYYY-MM-DD", max_value=datetime.now(ZoneInfo(zone)).date(), key="moment_day"
        )
        clock = st.time_input(
            t("Time of day ({zone})", zone=zone),
            value=None,
            step=timedelta(minutes=1),
            key="moment_clock",
            help=t("Without a time: the end of the day."),
        )
        at = _chosen_time(day, clock, zone) if isinstance(day, date) else None
        st.button(
            t("Show this moment"),
            type="primary",
            disabled=at is None,
            on_click=chosen.choose,
            args=(time_name(at) if at else "",),
            key="moment_show",
        )
        st.caption(t("Every page then shows the state at that moment."))
        st.caption(t("To name an event instead, open it on the page **Audit log**."))


def _chosen_time(day: date, clock: time | None, zone: str) -> datetime | None:
    """Return the time that the viewer chose; None, with the reason, where it cannot be shown."""
    times = local_times(day, clock if clock is not None else time.max, zone)
    if not times:
        st.warning(
            t(
                "{time:%H:%M} does not exist on {day:%Y-%m-%d} in {zone}: the clocks were put forward. Choose another "
                "time.",
                time=clock,
                day=day,
                zone=zone,
            )
        )
        return None
    at = times[0]
    if len(times) > 1:
        at = st.radio(
            t("The clocks were put back on that day. Which of the two?"),
            times,
            format_func=lambda each: f"{each.astimezone(ZoneInfo(zone)):%H:%M %Z} ({each:%H:%M} UTC)",
            key="moment_fold",
        )
    if at > datetime.now(UTC):
        st.warning(t("This moment is in the future. Choose an earlier one."))
        return None
    return at


def banner(stores: Stores) -> None:
    """Say across the page which moment it shows. A text that names no moment ends the page."""
    if not chosen.name():
        chosen.keep(None)
        return
    try:
        moment = find_moment(stores, chosen.name())
    except CoreError as error:
        chosen.keep(None)
        messages.show_error(error)
        _back_to_now()
        st.stop()
    chosen.keep(moment)
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.info(_sentence(stores, moment), icon=":material/history:")
    with right:
        _back_to_now()


def _back_to_now() -> None:
    st.button(t("Back to now"), icon=":material/update:", on_click=chosen.choose, args=("",), key="moment_now")


def _sentence(stores: Stores, moment: Moment) -> str:
    if moment.event is not None:
        time_ = messages.local_time(moment.time, seconds=True)
        at = t("State right after event {event} of the audit log, {time}.", event=moment.event, time=time_)
    elif moment.day is not None:
        at = t("State at the end of {day:%Y-%m-%d} (UTC), from the audit log.", day=moment.day)
    else:
        has_seconds = bool(moment.time.second or moment.time.microsecond)
        at = t("State as of {time}, from the audit log.", time=messages.local_time(moment.time, seconds=has_seconds))
    if moment.sequence == 0:
        first = next(stores.audit.events(limit=1), None)
        begin = messages.local_time(first.time) if first else None
        until = (
            t("The audit log begins later, on {time}: nothing was recorded yet.", time=begin)
            if begin
            else t("The audit log is empty.")
        )
    elif moment.event is None:
        until = t("The last event until then is number {event}.", event=moment.sequence)
    else:
        until = ""
    return " ".join(filter(None, (at, until, t("Nothing can be changed here."))))
