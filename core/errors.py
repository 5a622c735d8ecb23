"""The error tree: each error names a fact, carries its values and says what to do.

CoreError
├── NotFound
│   ├── TableNotFound
│   ├── VersionNotFound
│   ├── ColumnNotFound
│   ├── RunNotFound
│   ├── ModelNotFound
│   ├── ModelVersionNotFound
│   ├── RequestNotFound
│   ├── BatchNotFound
│   ├── RecipeNotFound
│   ├── ArtifactNotFound
│   │   └── ArtifactOutside
│   └── JobNotFound
├── DataUnreadable
│   ├── FilesVacuumed
│   ├── FilesChanged
│   ├── LogExpired
│   ├── LogCorrupt
│   ├── FeatureUnsupported
│   └── TimeTravelRefused
├── CommitConflict
├── BadInput
│   ├── BadName
│   ├── BadFile
│   ├── SchemaMismatch
│   ├── BadQuery
│   ├── BadParameter
│   ├── BadFilter
│   ├── BadHead
│   ├── BadBundle
│   └── ReasonMissing
├── Refused
│   ├── AppendOnly
│   ├── Forbidden
│   │   └── NotSignedIn
│   ├── SelfApproval
│   ├── AlreadyDecided
│   ├── GatesFailed
│   ├── EvidenceChanged
│   ├── Overtaken
│   ├── ChangedMeanwhile
│   ├── NothingInProduction
│   └── AddressRefused
├── TrainingFailed
├── NotReproducible
├── ModelUnloadable
├── Unavailable
│   ├── RegistryUnavailable
│   │   ├── StoreUnusable
│   │   └── ServerLacksCall
│   ├── StorageUnavailable
│   ├── DatabaseUnavailable
│   └── EngineUnavailable
├── EngineFailed
├── NotDelivered
├── JobCancelled
├── LeaseLost
├── AuditBroken
└── BadSettings

The message is one sentence that states the fact and what to do next. It is made from a template and its values, so that
a page can show the same sentence in another language.
"""

from __future__ import annotations

import re
from typing import Any

_LONGEST_LINE = 400
_ADDRESS = re.compile(r"<[\w.]+ object at 0x[0-9a-f]+>:? ?")


class CoreError(Exception):
    """Root of every error that ModelLedger raises on purpose.

    *template* is an English sentence with a replacement field per value, as in `str.format`:
    `VersionNotFound("{table} has no version {requested}.", table="sales", requested=99)`. `str(error)` is the sentence
    for people; every value is also an attribute of the error. A literal brace in a template with values is doubled.
    Without values the template is the sentence, and its braces stay as they are.
    """

    def __init__(self, template: str, /, **values: Any) -> None:
        super().__init__(template.format(**values) if values else template)
        self.template = template
        self.values = values
        for name, value in values.items():
            setattr(self, name, value)


def first_line(error: BaseException) -> str:
    """Return the first line of *error* that is not blank, without a final full stop and at most 400 characters long.

    The memory addresses of Python objects are removed. An error without a message is named by its class.
    """
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    line = _ADDRESS.sub("", line).rstrip(". ")
    return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 1] + "…"


class NotFound(CoreError):
    """The named object does not exist."""


class TableNotFound(NotFound): ...


class VersionNotFound(NotFound): ...


class ColumnNotFound(NotFound): ...


class RunNotFound(NotFound): ...


class ModelNotFound(NotFound): ...


class ModelVersionNotFound(NotFound): ...


class RequestNotFound(NotFound): ...


class BatchNotFound(NotFound): ...


class RecipeNotFound(NotFound): ...


class ArtifactNotFound(NotFound): ...


class ArtifactOutside(ArtifactNotFound):
    """The source is on this machine's disk, outside of the artifact's folder. It is not read."""


class JobNotFound(NotFound): ...


class DataUnreadable(CoreError):
    """The version exists or existed, but its rows cannot be shown."""


class FilesVacuumed(DataUnreadable): ...


class FilesChanged(DataUnreadable): ...


class LogExpired(DataUnreadable): ...


class LogCorrupt(DataUnreadable): ...


class FeatureUnsupported(DataUnreadable): ...


class TimeTravelRefused(DataUnreadable):
    """The engine refuses to read a version of this age, even if its files exist."""


class CommitConflict(CoreError):
    """Another writer committed first. Nothing was written."""


class BadInput(CoreError):
    """The input cannot be used. Nothing was changed."""


class BadName(BadInput): ...


class BadFile(BadInput): ...


class SchemaMismatch(BadInput): ...


class BadQuery(BadInput): ...


class BadParameter(BadInput): ...


class BadFilter(BadInput):
    """The filter or the order of a search of runs cannot be used. The message names what is wrong in it."""


class BadHead(BadInput):
    """The signed head cannot be read, or no key of this log signed it."""


class BadBundle(BadInput):
    """The evidence bundle does not hold. The message names the file in the bundle."""


class ReasonMissing(BadInput): ...


class Refused(CoreError):
    """The rules do not allow the action. Nothing was changed."""


class AppendOnly(Refused):
    """The table is append-only (delta.appendOnly)."""


class Forbidden(Refused): ...


class NotSignedIn(Forbidden):
    """Nobody is signed in, or the sign-in has expired."""


class SelfApproval(Refused): ...


class AlreadyDecided(Refused): ...


class GatesFailed(Refused): ...


class EvidenceChanged(Refused): ...


class Overtaken(Refused):
    """Another decision on the model was made after the person opened the page."""


class ChangedMeanwhile(Refused):
    """Somebody changed the text after the person saw it. The message holds the present text."""


class NothingInProduction(Refused): ...


class AddressRefused(Refused):
    """ModelLedger does not send to this address, for example because the address leads into its own network."""


class TrainingFailed(CoreError):
    """The estimator refused the data. The reason is the library's message, in one line."""


class NotReproducible(CoreError):
    """The model version cannot be trained again. The message says what is missing."""


class ModelUnloadable(CoreError):
    """The model's artifact does not load, or loading it would run its author's code."""


class Unavailable(CoreError):
    """A service does not answer. The work is kept and can be tried again."""


class RegistryUnavailable(Unavailable): ...


class StoreUnusable(RegistryUnavailable):
    """MLflow's store does not exist, or has another schema than the installed MLflow. It was not changed."""


class ServerLacksCall(RegistryUnavailable):
    """The MLflow server does not know a call, because it is too old or because it is not an MLflow server."""


class StorageUnavailable(Unavailable): ...


class DatabaseUnavailable(Unavailable): ...


class EngineUnavailable(Unavailable): ...


class EngineFailed(CoreError):
    """The engine failed for a reason without a class of its own. The message ends with the root cause."""


class NotDelivered(CoreError):
    """The receiver did not accept the message. *is_final* is True where another try cannot succeed."""

    is_final = False
    is_gone = False
    retry_after_s: float | None = None


class JobCancelled(CoreError):
    """Somebody cancelled the running job."""


class LeaseLost(CoreError):
    """This process no longer owns its job; another worker may. It must not write anything more."""


class AuditBroken(CoreError):
    """The hash chain of the audit log is broken."""


class BadSettings(CoreError):
    """A setting cannot be used. The message names the setting and its valid values."""
