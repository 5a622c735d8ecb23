"""Identity of training data: whether a table version is the one that a training recorded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Agreement(str, Enum):
    """The result of comparing one fact. UNCLEAR: the fact has a harmless explanation that cannot be ruled out."""

    AGREES = "agrees"
    CONTRADICTS = "contradicts"
    UNCLEAR = "unclear"
    UNKNOWN = "not compared"


class Fact(str, Enum):
    """What is compared. The value is the key in JSON."""

    TABLE_ID = "table_id"
    COMMIT_TIME = "commit_time"
    ROWS = "rows"
    CONTENT = "content_sha256"


class IdentityVerdict(str, Enum):
    """Whether a table version is the training data.

    SAME_ROWS: another table with exactly the rows of the training, such as a clone. UNPROVEN: the training recorded
    only name and version. UNCLEAR: the commit is later than it should be, which has harmless explanations.
    """

    TRAINING_DATA = "training data"
    SAME_ROWS = "same rows"
    UNPROVEN = "not proven"
    UNCLEAR = "unclear"
    ANOTHER_TABLE = "another table"
    OTHER_ROWS = "other rows"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One fact as the training recorded it and as it is now. *detail* is a sentence, empty unless they differ."""

    fact: Fact
    recorded: str | None
    now: str | None
    agreement: Agreement
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The comparisons of a table version with what a training recorded about its data, and the verdict."""

    verdict: IdentityVerdict
    comparisons: tuple[Comparison, ...]

    @property
    def is_contradicted(self) -> bool:
        """Whether the table version is certainly not the training data."""
        return self.verdict in (IdentityVerdict.ANOTHER_TABLE, IdentityVerdict.OTHER_ROWS)

    @property
    def is_content_equal(self) -> bool:
        """Whether the rows were read and have the content SHA-256 that the training logged."""
        return any(c.fact is Fact.CONTENT and c.agreement is Agreement.AGREES for c in self.comparisons)

    @property
    def contradictions(self) -> tuple[str, ...]:
        """The sentences against the table version; empty if its rows are proven to be the training data."""
        return self._details(Agreement.CONTRADICTS) if self.is_contradicted else ()

    @property
    def notes(self) -> tuple[str, ...]:
        """The sentences about differences that prove nothing."""
        unclear = self._details(Agreement.UNCLEAR)
        return unclear if self.is_contradicted else (*self._details(Agreement.CONTRADICTS), *unclear)

    def _details(self, agreement: Agreement) -> tuple[str, ...]:
        return tuple(comparison.detail for comparison in self.comparisons if comparison.agreement is agreement)
