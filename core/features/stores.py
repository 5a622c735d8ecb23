"""Stores: everything that a service reads from or writes to, opened by bootstrap.open_stores."""

from __future__ import annotations

from dataclasses import dataclass

from core.access.sign_in_state import SignInState
from core.access.tokens import SignOuts, Tokens
from core.audit.decisions import Decisions
from core.audit.findings import Findings
from core.audit.log import AuditLog
from core.audit.proofs.signed_heads import Heads
from core.audit.row_integrity import RowIntegrity
from core.delivery.progress import NotificationProgress
from core.delta.catalog import Catalog
from core.delta.engine import DeltaEngine
from core.entities import Table, TableVersion
from core.jobs.store import JobStore
from core.registry.models import ModelRegistry
from core.registry.runs import Runs
from core.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Stores:
    settings: Settings
    catalog: Catalog
    engine: DeltaEngine
    runs: Runs
    models: ModelRegistry
    audit: AuditLog
    heads: Heads
    decisions: Decisions
    findings: Findings
    row_integrity: RowIntegrity
    jobs: JobStore
    tokens: Tokens
    sign_outs: SignOuts
    provider: SignInState
    notifications: NotificationProgress

    def pin(
        self, table: str, version: int | None = None, *, registered_only: bool = False
    ) -> tuple[Table, TableVersion]:
        """Return the table and its pinned version; None pins the latest version. Raises TableNotFound."""
        resolved = self.catalog.resolve(table, registered_only=registered_only)
        pinned = self.engine.latest_version(resolved) if version is None else version
        return resolved, TableVersion(table=resolved.name, version=pinned)
