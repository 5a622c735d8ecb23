"""The error tree: each names a fact, carries its values and says what to do.

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
│   └── NothingInProduction
├── TrainingFailed
├── ModelUnloadable
├── Unavailable
│   ├── RegistryUnavailable
│   ├── StorageUnavailable
│   ├── DatabaseUnavailable
│   └── EngineUnavailable
├── EngineFailed
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
    """Something that was asked for by name is not there."""


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
    """A source on this machine's disk that is no place of the artifact: nothing there is read."""


class JobNotFound(NotFound): ...


class DataUnreadable(CoreError):
    """The version exists or existed, but its rows cannot be shown."""


class FilesVacuumed(DataUnreadable): ...


class LogExpired(DataUnreadable): ...


class LogCorrupt(DataUnreadable): ...


class FeatureUnsupported(DataUnreadable): ...


class TimeTravelRefused(DataUnreadable):
    """The engine will not read a version so old, whether or not its files are there."""


class CommitConflict(CoreError):
    """Another writer committed first. Nothing of ours was written."""


class BadInput(CoreError):
    """What was handed in cannot be used; nothing was changed."""


class BadName(BadInput): ...


class BadFile(BadInput): ...


class SchemaMismatch(BadInput): ...


class BadQuery(BadInput): ...


class BadParameter(BadInput): ...


class BadHead(BadInput):
    """A signed head that cannot be read, or that no key of this log has signed."""


class BadBundle(BadInput):
    """An evidence bundle that does not prove what it says; the message names the file in it."""


class ReasonMissing(BadInput): ...


class Refused(CoreError):
    """The rules do not allow it; nothing was changed."""


class AppendOnly(Refused):
    """The table's owner has ruled that its rows are never removed."""


class Forbidden(Refused): ...


class NotSignedIn(Forbidden):
    """Nobody is signed in, or not any longer."""


class SelfApproval(Refused): ...


class AlreadyDecided(Refused): ...


class GatesFailed(Refused): ...


class EvidenceChanged(Refused): ...


class Overtaken(Refused):
    """Another decision on the model came between looking and deciding."""


class NothingInProduction(Refused): ...


class TrainingFailed(CoreError):
    """The estimator or the data would not; the reason is the library's own, in one line."""


class ModelUnloadable(CoreError):
    """The model's artifact does not load, or loading it would run its author's code."""


class Unavailable(CoreError):
    """A service that we depend on does not answer; the work is kept and can be tried again."""


class RegistryUnavailable(Unavailable): ...


class StorageUnavailable(Unavailable): ...


class DatabaseUnavailable(Unavailable): ...


class EngineUnavailable(Unavailable): ...


class EngineFailed(CoreError):
    """The engine's own work failed for a reason that has no name here; the message ends with its root cause."""


class JobCancelled(CoreError):
    """Somebody asked the running job to stop."""


class LeaseLost(CoreError):
    """This process no longer owns the job it works on; another may. Nothing more may be written."""


class AuditBroken(CoreError):
    """The audit log's chain does not hold."""


class BadSettings(CoreError):
    """A setting cannot be used; the message names it and what it takes."""
