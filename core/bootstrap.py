"""Bootstrap: opens the stores. The only module that chooses implementations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core.access.sign_in_state import SignInState
from core.access.tokens import SignOuts, Tokens
from core.audit.decisions import Decisions
from core.audit.findings import Findings
from core.audit.log import AuditLog
from core.audit.proofs.checkpoint import VerifierKey
from core.audit.proofs.signed_heads import Heads
from core.audit.row_integrity import RowIntegrity
from core.database.engine import Database
from core.delivery.progress import NotificationProgress
from core.delta.catalog import Catalog
from core.delta.engine import DeltaEngine
from core.errors import BadHead, BadSettings
from core.features.lineage.claim_rules import read_rules
from core.features.notifications.channels import read_channels
from core.features.promotion.policy import check_policies
from core.features.stores import Stores
from core.jobs.store import JobStore
from core.learning.kpis import use_directions
from core.redact import redactor
from core.registry.alias_names import AliasNames
from core.registry.aliases import AliasRegistry
from core.registry.connection import Connection
from core.registry.models import ModelRegistry
from core.registry.runs import Runs
from core.registry.stages import StageRegistry
from core.settings import Settings, load_settings


def open_stores(settings: Settings | None = None) -> Stores:
    """Open the stores that the services need. Connects to the database; MLflow and Spark are reached on first use.

    Raises BadSettings: a home, a policy, a notification or a key that cannot be used; DatabaseUnavailable.
    """
    settings = settings or load_settings()
    check_policies(settings.policies)
    read_rules(settings.claims)
    read_channels(settings)
    use_directions(settings.metric_directions)
    _make(settings.home)
    database = Database(settings.database)
    redact = redactor(settings.secret_values)
    audit, tokens = AuditLog(database, redact=redact), Tokens(database)
    runs, models = _mlflow(settings, redact)
    return Stores(
        settings=settings,
        catalog=Catalog(settings.tables, settings.home / "tables"),
        engine=_engine(settings),
        runs=runs,
        models=models,
        audit=audit,
        heads=Heads(
            database,
            audit,
            key_file=settings.signing_key_file,
            name=settings.log_name,
            trusted=_head_keys(settings),
        ),
        decisions=Decisions(database, redact=redact),
        findings=Findings(database, redact=redact),
        row_integrity=RowIntegrity(database, audit),
        jobs=JobStore(database, settings.worker_lease_s, redact=redact),
        tokens=tokens,
        sign_outs=SignOuts(database),
        provider=SignInState(audit, tokens),
        notifications=NotificationProgress(database),
    )


def _make(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadSettings(
            "MODELLEDGER_HOME names {home}, which cannot be created as a folder ({cause}). Name another folder.",
            home=home,
            cause=error.strerror,
            setting="MODELLEDGER_HOME",
        ) from error


def _head_keys(settings: Settings) -> tuple[VerifierKey, ...]:
    try:
        return tuple(VerifierKey.parse(key) for key in settings.head_keys.split())
    except BadHead as error:
        raise BadSettings(
            "MODELLEDGER_HEAD_KEYS cannot be used. {cause}", cause=str(error), setting="MODELLEDGER_HEAD_KEYS"
        ) from error


def _engine(settings: Settings) -> DeltaEngine:
    if settings.engine == "spark":
        from core.delta.spark.engine import SparkEngine

        return SparkEngine(
            settings.spark_master,
            jars=settings.spark_jars,
            storage_options=settings.storage_options,
            conf=settings.spark_conf,
        )
    from core.delta.delta_rs.engine import DeltaRsEngine

    return DeltaRsEngine(settings.storage_options)


def _artifact_root(settings: Settings) -> Path | None:
    # A tracking server stores artifacts itself. Without a server, MLflow would store them in the working folder.
    has_server = settings.tracking_uri.startswith(("http://", "https://", "databricks", "file:")) or (
        "://" not in settings.tracking_uri
    )
    return None if has_server else settings.artifact_root


def _protected(settings: Settings) -> tuple[Path, ...]:
    """Return the paths that no artifact may contain: anybody who registers a version names its source."""
    return settings.home, settings.signing_key_file, settings.secrets_file


def _mlflow(settings: Settings, redact: Callable[[str], str]) -> tuple[Runs, ModelRegistry]:
    """Return runs and registry. Where both are at one address they share a client, which is opened once."""
    root, protected = _artifact_root(settings), _protected(settings)

    def connection(registry_uri: str) -> Connection:
        return Connection(
            settings.tracking_uri,
            registry_uri,
            timeout_s=settings.mlflow_timeout_s,
            artifact_root=root,
            protected=protected,
            own_store=settings.own_mlflow_store,
        )

    models_connection = connection(settings.registry_uri)
    # If the registry is elsewhere and down, runs stay readable.
    is_shared = settings.registry_uri == settings.tracking_uri
    runs_connection = models_connection if is_shared else connection(settings.tracking_uri)
    make = StageRegistry if settings.registry_stages == "native" else AliasRegistry
    return (
        Runs(settings.tracking_uri, redact=redact, connection=runs_connection),
        make(
            settings.tracking_uri,
            settings.registry_uri,
            connection=models_connection,
            alias_names=AliasNames.parse(settings.aliases),
        ),
    )
