"""State of the notification channels, and a test message."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from core.access.permissions import Action
from core.delivery.progress import ChannelProgress
from core.entities import Actor
from core.errors import NotFound
from core.features.notifications.channels import Channel, Mail, read_channels
from core.features.notifications.messages import Kind, Message, read_messages
from core.features.notifications.sender import deliver
from core.features.stores import Stores
from core.texts import text

# Pending messages beyond this number of events are not counted.
_MOST_EVENTS = 2_000


@dataclass(frozen=True, kw_only=True)
class ChannelState:
    """One channel. *pending* messages wait to be sent; *progress* is None until a worker has seen the channel.

    *place* names the receiver without secrets. Empty *events*, *models* or *roles* stand for all.
    """

    name: str
    kind: str
    place: str
    events: tuple[str, ...]
    models: tuple[str, ...]
    roles: tuple[str, ...]
    pending: int
    progress: ChannelProgress | None

    @property
    def is_ok(self) -> bool:
        """Whether the last try succeeded, or there was none."""
        progress = self.progress
        if progress is None or progress.last_error_at is None:
            return True
        is_newer = progress.last_sent is not None and progress.last_sent > progress.last_error_at
        return is_newer and not progress.stopped

    @property
    def summary(self) -> str:
        """One sentence about the last try, for people."""
        progress = self.progress
        if progress is None:
            return text("No worker has sent to this channel yet.")
        if progress.stopped:
            return text(
                "The channel is stopped. {error} A test message that is accepted starts it again.",
                error=progress.last_error or "",
            )
        if not self.is_ok:
            return progress.last_error or ""
        if progress.last_sent is None:
            return text("Nothing was sent yet.")
        return text("The last message was accepted.")


def channel_states(stores: Stores) -> tuple[ChannelState, ...]:
    """Return all channels of the settings, for a caller that has no actor: `doctor`."""
    return tuple(_state(stores, channel) for channel in read_channels(stores.settings))


def list_channels(stores: Stores, actor: Actor) -> tuple[ChannelState, ...]:
    """Return all channels of the settings."""
    stores.audit.require(actor, Action.SETTINGS_READ, "notifications")
    return channel_states(stores)


def send_test(stores: Stores, actor: Actor, name: str) -> ChannelState:
    """Send a test message now and wait for the answer. If the receiver accepts it, a stopped channel starts again.

    Raises:
        NotFound: there is no channel of this name.
        NotDelivered, AddressRefused: the sentence says what the receiver answered.
    """
    subject = text("notification channel {name}", name=name)
    with stores.audit.recording(actor, Action.NOTIFICATION_SEND, subject, reason="test message") as record:
        channels = {channel.name: channel for channel in read_channels(stores.settings)}
        if name not in channels:
            raise NotFound(
                "There is no notification channel {name!r}; the settings have {channels}.",
                name=name,
                channels=", ".join(channels) or "none",
            )
        message = _test_message(actor, name)
        record.after = {"message": message.id}
        deliver(channels[name], message, stores.settings)
        stores.notifications.begin(name, cursor=stores.audit.head()[0])
        stores.notifications.resume(name)
    return _state(stores, channels[name])


def _test_message(actor: Actor, name: str) -> Message:
    return Message(
        id=f"test-{uuid4().hex}",
        kind=Kind.TEST,
        time=datetime.now(UTC),
        text=text("This is a test message of the notification channel {name}.", name=name),
        subject=name,
        model="",
        actor=actor.name,
        reason="",
        roles=(),
        page="admin",
    )


def _state(stores: Stores, channel: Channel) -> ChannelState:
    progress = stores.notifications.find(channel.name)
    events = stores.audit.events(after_sequence=progress.cursor, limit=_MOST_EVENTS) if progress else ()
    return ChannelState(
        name=channel.name,
        kind="email" if isinstance(channel.target, Mail) else channel.target.format.value,
        place=channel.place,
        events=tuple(sorted(kind.value for kind in channel.events)),
        models=channel.models,
        roles=tuple(sorted(role.value for role in channel.roles)),
        pending=sum(channel.wants(message) for event in events for message in read_messages(event)),
        progress=progress,
    )
