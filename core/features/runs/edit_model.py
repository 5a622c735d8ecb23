"""Edit the description and the tags of a model version or of a registered model. Each edit is one event of the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from core.access.permissions import Action, require
from core.audit.canonical_json import storable
from core.audit.decisions import ModelLock
from core.entities import Actor, ModelVersionKey
from core.errors import BadInput, ChangedMeanwhile, Refused, RegistryUnavailable
from core.features.promotion.reason import require_reason
from core.features.runs.own_tags import why_protected
from core.features.stores import Stores
from core.texts import text

# The columns of MLflow's database (mlflow/store/model_registry/dbmodels/models.py) and its check of names and values
# (mlflow/utils/validation.py). A longer description is an error of PostgreSQL and MySQL, and SQLite keeps it.
LONGEST_DESCRIPTION = 5_000
LONGEST_TAG_NAME = 250
LONGEST_TAG_VALUE = {"version": 100_000, "model": 5_000}
_LONGEST_SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class Texts:
    """The description and the tags of *version* of a model, or of the registered model where *version* is None."""

    model: str
    version: int | None
    description: str
    tags: Mapping[str, str]

    @property
    def subject(self) -> str:
        return _subject(self.model, self.version)


def show_texts(stores: Stores, actor: Actor, model: str, *, version: int | None = None) -> Texts:
    """Return the present description and tags. Raises ModelNotFound, ModelVersionNotFound, RegistryUnavailable."""
    require(actor, Action.MODEL_READ)
    return _read(stores, model, version)


def describe(
    stores: Stores,
    actor: Actor,
    model: str,
    *,
    version: int | None = None,
    description: str,
    seen: str | None = None,
    reason: str,
) -> Texts:
    """Change the description; "" removes it. *seen* is the description that the person saw; None is not compared.

    Raises:
        ChangedMeanwhile: the description is no longer *seen*. Nothing was changed.
        BadInput: the description is too long, or it is the present one.
        ReasonMissing, ModelNotFound, ModelVersionNotFound, RegistryUnavailable, Forbidden
    """
    description = storable(description)

    def change(now: Texts) -> tuple[dict[str, Any], dict[str, Any]]:
        if len(description) > LONGEST_DESCRIPTION:
            raise BadInput(
                "The description has {length:,} characters. MLflow keeps at most {most:,}: shorten it.",
                length=len(description),
                most=LONGEST_DESCRIPTION,
            )
        if seen is not None and now.description != seen:
            raise ChangedMeanwhile(
                "The description of {subject} was changed after you saw it. It is now: {now}",
                subject=now.subject,
                now=_shown(now.description),
            )
        if description == now.description:
            raise BadInput("{subject} has this description already.", subject=now.subject)
        return {"description": now.description}, {"description": description}

    with _editing(stores, actor, model, version, reason, {"description": description}, change) as now:
        stores.models.describe(model, version, description)
    return replace(now, description=description)


def set_tag(
    stores: Stores,
    actor: Actor,
    model: str,
    name: str,
    value: str,
    *,
    version: int | None = None,
    seen: Mapping[str, str] | None = None,
    reason: str,
) -> Texts:
    """Set one tag. *seen* holds the tags that the person saw; None is not compared.

    Raises:
        ChangedMeanwhile: the tag is no longer as in *seen*. Nothing was changed.
        Refused: MLflow or ModelLedger writes the tag, or it says what the model was trained on.
        BadInput: the name or the value is not valid, or the tag has this value already.
        ReasonMissing, ModelNotFound, ModelVersionNotFound, RegistryUnavailable, Forbidden
    """
    name, value = storable(name).strip(), storable(value)

    def change(now: Texts) -> tuple[dict[str, Any], dict[str, Any]]:
        _check_tag(stores, now, name, seen)
        most = LONGEST_TAG_VALUE["model" if version is None else "version"]
        if len(value) > most:
            raise BadInput(
                "The value of the tag has {length:,} characters. MLflow keeps at most {most:,}: shorten it.",
                length=len(value),
                most=most,
            )
        if now.tags.get(name) == value:
            raise BadInput("The tag {name} of {subject} has this value already.", name=name, subject=now.subject)
        return {"tags": {name: now.tags.get(name)}}, {"tags": {name: value}}

    with _editing(stores, actor, model, version, reason, {"tags": {name: value}}, change) as now:
        stores.models.set_tag(model, version, name, value)
    return replace(now, tags={**now.tags, name: value})


def remove_tag(
    stores: Stores,
    actor: Actor,
    model: str,
    name: str,
    *,
    version: int | None = None,
    seen: Mapping[str, str] | None = None,
    reason: str,
) -> Texts:
    """Remove one tag. *seen* holds the tags that the person saw; None is not compared. Raises as `set_tag` does."""
    name = storable(name).strip()

    def change(now: Texts) -> tuple[dict[str, Any], dict[str, Any]]:
        _check_tag(stores, now, name, seen)
        if name not in now.tags:
            raise BadInput("{subject} has no tag {name}.", subject=now.subject, name=name)
        return {"tags": {name: now.tags[name]}}, {"tags": {name: None}}

    with _editing(stores, actor, model, version, reason, {"tags": {name: None}}, change) as now:
        stores.models.delete_tag(model, version, name)
    return replace(now, tags={tag: value for tag, value in now.tags.items() if tag != name})


@contextmanager
def _editing(
    stores: Stores,
    actor: Actor,
    model: str,
    version: int | None,
    reason: str,
    intended: Mapping[str, Any],
    change: Callable[[Texts], tuple[dict[str, Any], dict[str, Any]]],
) -> Iterator[Texts]:
    """Record an edit, and hold the model's lock while the present texts are compared and changed.

    *change* checks the edit against the present texts, and returns what the event holds before and after. MLflow has no
    compare-and-set of its own: somebody who edits there directly can still come between the comparison and the change.
    """
    before = {"subject": _subject(model, version), "intended": dict(intended)}
    with stores.audit.recording(
        actor, Action.MODEL_EDIT, _subject(model, version), reason=reason, before=before
    ) as record:
        require_reason(reason)
        with stores.decisions.lock(model) as lock:
            now = _read(stores, model, version)
            was, after = change(now)
            lock.confirm()
            record.before |= was
            with _left_where_unanswered(lock):
                yield now
        record.after = {"subject": now.subject, **after}


@contextmanager
def _left_where_unanswered(lock: ModelLock) -> Iterator[None]:
    """Keep the lock where MLflow did not answer: the change may still arrive there."""
    try:
        yield
    except RegistryUnavailable as error:
        if error.values.get("in_flight"):
            lock.leave()
        raise


def _check_tag(stores: Stores, now: Texts, name: str, seen: Mapping[str, str] | None) -> None:
    """Refuse a tag that people do not edit, and a tag that is no longer as the person saw it."""
    if not name:
        raise BadInput("A tag needs a name.")
    if len(name) > LONGEST_TAG_NAME:
        raise BadInput(
            "The name of the tag has {length:,} characters. MLflow keeps at most {most}: shorten it.",
            length=len(name),
            most=LONGEST_TAG_NAME,
        )
    why = why_protected(stores, name)
    if why is not None:
        raise Refused("{why}", why=why)
    if seen is not None and now.tags.get(name) != seen.get(name):
        raise ChangedMeanwhile(
            "The tag {name} of {subject} was changed after you saw it. It is now: {now}",
            name=name,
            subject=now.subject,
            now=_shown(now.tags[name]) if name in now.tags else text("(no such tag)"),
        )


def _read(stores: Stores, model: str, version: int | None) -> Texts:
    if version is None:
        registered = stores.models.model(model)
        return Texts(model=model, version=None, description=registered.description, tags=registered.tags)
    current = stores.models.version(ModelVersionKey(model=model, version=version))
    return Texts(model=model, version=version, description=current.description, tags=current.tags)


def _subject(model: str, version: int | None) -> str:
    return model if version is None else str(ModelVersionKey(model=model, version=version))


def _shown(value: str) -> str:
    """Return the beginning of a text, for a sentence."""
    return (value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}…") or text("(empty)")
