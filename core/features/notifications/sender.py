"""The sender: a thread of the worker that reads the audit log and sends to each channel, in order, at least once.

Nothing is sent where something is decided. Each channel has a cursor in the database: the last event that needs nothing
more. A process that dies between a delivery and the store of the cursor sends that message again, with the same id.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from core.access.permissions import Action
from core.delivery import mail, webhook
from core.delivery.progress import ChannelProgress
from core.entities import Event, Outcome
from core.errors import AddressRefused, CoreError, LeaseLost, NotDelivered, first_line
from core.features.admin.sign_in import program_actor
from core.features.notifications.channels import Channel, Mail, read_channels
from core.features.notifications.failed_jobs import FailedJobs
from core.features.notifications.formats import body, email
from core.features.notifications.messages import Message, read_messages
from core.features.stores import Stores
from core.logs import get_logger
from core.settings import Settings
from core.texts import text

_LOG = get_logger(__name__)
_EVERY_S = 2.0
_BATCH = 500
# A message that could not be delivered until then is given up; an older one is not sent at all.
MAX_AGE = timedelta(hours=24)
_FIRST_WAIT_S, _LONGEST_WAIT_S = 5.0, 3600.0


@contextmanager
def sending(stores: Stores) -> Iterator[None]:
    """Send notifications in a thread while the block runs. Without channels there is no thread."""
    if not stores.settings.notifications:
        yield
        return
    sender, stopping = Sender(stores), threading.Event()

    def run() -> None:
        while not stopping.wait(_EVERY_S):
            try:
                sender.send_due()
            except CoreError as error:
                _LOG.warning("notifications wait", error=str(error))
            except Exception:  # noqa: BLE001 -- the boundary of the thread: the worker goes on, and the next round tries again
                _LOG.exception("notifications failed")

    thread = threading.Thread(target=run, name="notifications", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(1.0)  # a delivery under way ends with the process; its message is sent again


def deliver(channel: Channel, message: Message, settings: Settings) -> None:
    """Send one message now. Raises NotDelivered, AddressRefused."""
    target = channel.target
    try:
        if isinstance(target, Mail):
            mail.send(email(message, target, settings.base_url), target.server, channel.allowed)
        else:
            webhook.post(
                target.endpoint,
                body(message, target.format, settings.base_url),
                message_id=message.id,
                key=target.key,
                allowed=channel.allowed,
                now=datetime.now(UTC),
            )
    except CoreError:
        raise
    except Exception as error:  # the boundary of a channel: the failure is recorded, and other channels go on
        _LOG.exception("a notification failed", channel=channel.name)
        raise NotDelivered(
            "The message could not be sent ({error}: {cause}).", error=type(error).__name__, cause=first_line(error)
        ) from error


class Sender:
    """Sends what is due. Any number of workers may each have one: a channel has one sender at a time."""

    def __init__(self, stores: Stores) -> None:
        self._stores, self._channels = stores, read_channels(stores.settings)
        self._failed_jobs = FailedJobs(stores)
        self._owner = uuid4().hex

    def send_due(self) -> None:
        """Send, for each channel that is due, until its log is read or a delivery fails."""
        self._failed_jobs.record()
        head = self._stores.audit.head()[0]
        for channel in self._channels:
            progress = self._stores.notifications.begin(channel.name, cursor=head)
            if not _is_due(progress, head):
                continue
            claimed = self._stores.notifications.claim(channel.name, self._owner)
            if claimed is None or not _is_due(claimed, head):
                continue
            try:
                self._send(channel, claimed)
            except LeaseLost as error:
                _LOG.warning("another worker sends", error=str(error))
            finally:
                self._stores.notifications.release(channel.name, self._owner)

    def _send(self, channel: Channel, progress: ChannelProgress) -> None:
        outdated: list[int] = []
        for event in self._stores.audit.events(after_sequence=progress.cursor, limit=_BATCH):
            for message in filter(channel.wants, read_messages(event)):
                if datetime.now(UTC) - message.time > MAX_AGE:
                    outdated.append(event.sequence)
                    continue
                if outdated:
                    progress, outdated = self._skip(channel, progress, outdated), []
                try:
                    deliver(channel, message, self._stores.settings)
                except (NotDelivered, AddressRefused) as error:
                    if not isinstance(error, NotDelivered) or not error.is_final:
                        self._try_later(channel, progress, error)
                        return
                    progress = self._give_up(channel, progress, event, message, error)
                    if progress.stopped:
                        return
                else:
                    progress = replace(progress, attempts=0)
                    self._advance(
                        channel, cursor=event.sequence, attempts=0, next_try=None, last_sent=datetime.now(UTC)
                    )
            progress = replace(progress, cursor=event.sequence)
        if outdated:
            self._skip(channel, progress, outdated)
        else:
            self._advance(channel, cursor=progress.cursor)

    def _try_later(self, channel: Channel, progress: ChannelProgress, error: CoreError) -> None:
        """Keep the cursor before the message. The wait doubles with each attempt; the receiver may ask for more."""
        now = datetime.now(UTC)
        wait = min(_FIRST_WAIT_S * 2 ** min(progress.attempts, 20), _LONGEST_WAIT_S) * random.uniform(0.75, 1.25)  # noqa: S311 — spreads load, protects nothing
        if isinstance(error, NotDelivered) and error.retry_after_s is not None:
            wait = min(max(wait, error.retry_after_s), _LONGEST_WAIT_S)
        self._advance(
            channel,
            cursor=progress.cursor,
            attempts=progress.attempts + 1,
            next_try=now + timedelta(seconds=wait),
            last_error=self._stores.audit.redacted(str(error)),
            last_error_at=now,
        )
        _LOG.warning("a notification was not delivered", channel=channel.name, error=str(error))

    def _give_up(
        self, channel: Channel, progress: ChannelProgress, event: Event, message: Message, error: NotDelivered
    ) -> ChannelProgress:
        """Pass over one message that the receiver refuses, and record that in the log."""
        self._record(channel, str(error), {"message": message.id})
        given_up = progress.given_up + 1
        self._advance(
            channel,
            cursor=event.sequence,
            attempts=0,
            next_try=None,
            last_error=self._stores.audit.redacted(str(error)),
            last_error_at=datetime.now(UTC),
            given_up=given_up,
            stopped=error.is_gone,
        )
        return replace(progress, cursor=event.sequence, attempts=0, given_up=given_up, stopped=error.is_gone)

    def _skip(self, channel: Channel, progress: ChannelProgress, outdated: list[int]) -> ChannelProgress:
        """Record the messages of the events *outdated*, which were too old to be sent, and pass over them."""
        reason = text(
            "{count} messages were older than {hours} hours and were not sent.",
            count=len(outdated),
            hours=MAX_AGE // timedelta(hours=1),
        )
        self._record(channel, reason, {"first": outdated[0], "last": outdated[-1]})
        given_up = progress.given_up + len(outdated)
        self._advance(
            channel,
            cursor=progress.cursor,
            attempts=0,
            next_try=None,
            last_error=reason,
            last_error_at=datetime.now(UTC),
            given_up=given_up,
        )
        return replace(progress, attempts=0, given_up=given_up)

    def _record(self, channel: Channel, reason: str, after: dict[str, object]) -> None:
        actor, subject = program_actor("worker"), text("notification channel {name}", name=channel.name)
        self._stores.audit.append(
            actor, Action.NOTIFICATION_SEND.value, subject, Outcome.FAILED, reason=reason, after=after
        )

    def _advance(self, channel: Channel, **changes: object) -> None:
        self._stores.notifications.advance(channel.name, self._owner, **changes)


def _is_due(progress: ChannelProgress, head: int) -> bool:
    is_waiting = progress.next_try is not None and progress.next_try > datetime.now(UTC)
    return progress.cursor < head and not progress.stopped and not is_waiting
