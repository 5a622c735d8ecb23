"""Permissions: actions, the roles that grant them, and the check that every service calls."""

from __future__ import annotations

from enum import Enum

from core.entities import Actor, Role
from core.errors import Forbidden


class Action(str, Enum):
    """The actions. The value is the code in the audit log."""

    DATA_READ = "data.read"
    DATA_QUERY = "data.query"
    DATA_INGEST = "data.ingest"
    RUN_READ = "run.read"
    RUN_TRAIN = "run.train"
    RECIPE_WRITE = "recipe.write"
    MODEL_READ = "model.read"
    MODEL_REPRODUCE = "model.reproduce"
    MODEL_COMPARE = "model.compare"
    MODEL_EDIT = "model.edit"
    MODEL_EVALUATE = "model.evaluate"
    MODEL_EXPLAIN = "model.explain"
    PROMOTION_READ = "promotion.read"
    PROMOTION_REQUEST = "promotion.request"
    PROMOTION_DECIDE = "promotion.decide"
    PROMOTION_ROLLBACK = "promotion.rollback"
    PREDICTION_READ = "prediction.read"
    PREDICTION_SCORE = "prediction.score"
    LINEAGE_READ = "lineage.read"
    AUDIT_READ = "audit.read"
    AUDIT_VERIFY = "audit.verify"
    AUDIT_EXPORT = "audit.export"
    RECONCILE_READ = "reconcile.read"
    RECONCILE_RESOLVE = "reconcile.resolve"
    REGISTRY_ACCEPT = "registry.accept"
    JOB_READ = "job.read"
    JOB_CANCEL = "job.cancel"
    TRIGGER_WRITE = "trigger.write"
    FINDING_OPEN = "finding.open"
    SETTINGS_READ = "settings.read"
    SETTINGS_WRITE = "settings.write"
    NOTIFICATION_SEND = "notification.send"


_READ = frozenset(
    {
        Action.DATA_READ,
        Action.DATA_QUERY,
        Action.RUN_READ,
        Action.MODEL_READ,
        Action.PROMOTION_READ,
        Action.PREDICTION_READ,
        Action.LINEAGE_READ,
        Action.AUDIT_READ,
        Action.AUDIT_VERIFY,
        Action.RECONCILE_READ,
        Action.JOB_READ,
    }
)

GRANTS: dict[Role, frozenset[Action]] = {
    Role.AUDITOR: _READ
    | {
        Action.AUDIT_EXPORT,
        Action.FINDING_OPEN,
        Action.MODEL_REPRODUCE,
        Action.MODEL_COMPARE,
        Action.MODEL_EVALUATE,
        Action.MODEL_EXPLAIN,
        Action.SETTINGS_READ,
    },
    Role.SCIENTIST: _READ
    | {
        Action.DATA_INGEST,
        Action.RUN_TRAIN,
        Action.MODEL_REPRODUCE,
        Action.MODEL_COMPARE,
        Action.MODEL_EDIT,
        Action.MODEL_EVALUATE,
        Action.MODEL_EXPLAIN,
        Action.RECIPE_WRITE,
        Action.PROMOTION_REQUEST,
        Action.PREDICTION_SCORE,
        Action.JOB_CANCEL,
        Action.TRIGGER_WRITE,
    },
    Role.MANAGER: _READ
    | {
        Action.PROMOTION_DECIDE,
        Action.PROMOTION_ROLLBACK,
        Action.RECONCILE_RESOLVE,
        Action.REGISTRY_ACCEPT,
        Action.MODEL_REPRODUCE,
        Action.MODEL_COMPARE,
        Action.MODEL_EDIT,
        Action.MODEL_EVALUATE,
        Action.MODEL_EXPLAIN,
        Action.AUDIT_EXPORT,
        Action.JOB_CANCEL,
    },
    Role.ADMIN: _READ
    | {
        Action.SETTINGS_READ,
        Action.SETTINGS_WRITE,
        Action.NOTIFICATION_SEND,
        Action.REGISTRY_ACCEPT,
        Action.JOB_CANCEL,
    },
}


def is_allowed(actor: Actor, action: Action) -> bool:
    """Return whether any of the actor's roles grants *action*."""
    return any(action in GRANTS[role] for role in actor.roles)


def roles_for(action: Action) -> tuple[Role, ...]:
    """Return the roles that grant *action*, in the order of Role."""
    return tuple(role for role in Role if action in GRANTS[role])


def require(actor: Actor, action: Action) -> None:
    """Raise Forbidden unless *actor* may do *action*. Services that change something record the refusal."""
    if not is_allowed(actor, action):
        allowed = " or ".join(role.value for role in roles_for(action))
        own = ", ".join(sorted(role.value for role in actor.roles)) or "no role"
        raise Forbidden(
            "{actor} ({own_roles}) may not do {action}; the action needs the role {needed_roles}.",
            actor=actor.name,
            own_roles=own,
            action=action.value,
            needed_roles=allowed,
        )
