"""Tags of model versions that were edited in ModelLedger: an inspection does not report them as changed outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.entities import Event, Outcome

Value = str | None


@dataclass(frozen=True)
class OwnEdits:
    """The edits of tags, by model version (MODEL/N) and name of the tag. None is a tag that was removed.

    *done* holds the last value that was set. *begun* holds values that an edit without success may have set since then:
    the edit still runs, its process died, or MLflow did not answer.
    """

    done: dict[str, dict[str, Value]] = field(default_factory=dict)
    begun: dict[str, dict[str, set[Value]]] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Add an event of the action `model.edit`. Events come in their order."""
        if event.outcome is Outcome.SUCCESS:
            for name, value in _tags(event.after).items():
                self.done.setdefault(_subject(event.after), {})[name] = value
                self.begun.get(_subject(event.after), {}).pop(name, None)
        elif event.outcome is Outcome.INTENT:
            for name, value in _tags(event.before.get("intended") or {}).items():
                self.begun.setdefault(_subject(event.before), {}).setdefault(name, set()).add(value)

    def forget(self, model: str) -> None:
        """Forget the edits of the versions of *model*: their state was accepted as found."""
        for edits in (self.done, self.begun):
            for name in [name for name in edits if name.rpartition("/")[0] == model]:
                del edits[name]


def _subject(values: Mapping[str, object]) -> str:
    return str(values.get("subject"))


def _tags(values: Mapping[str, object]) -> Mapping[str, Value]:
    tags = values.get("tags")
    return tags if isinstance(tags, Mapping) else {}
