"""Commands that run programs: demo, doctor, serve, worker, sql-endpoint, perform; the worker's notifications."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from core.bootstrap import open_stores
from core.commands.options import As, Json, get_actor, get_stores, write_answer
from core.entities import JobStatus
from core.errors import Unavailable
from core.features.admin.doctor import Check, run_checks
from core.features.admin.sample import build_sample
from core.features.admin.sign_in import enable_provider, refuse_demo
from core.features.evidence.sign_head import HeadSchedule
from core.features.jobs.run_job import clean_up, run_service
from core.features.jobs.schedules import fire_due
from core.features.monitoring.findings import InspectionSchedule
from core.features.notifications.sender import sending
from core.features.notifications.status import ChannelState, list_channels, send_test
from core.jobs.worker import run_job, run_worker
from core.logs import configure_logs, get_logger
from core.serve import serve as serve_app
from core.settings import load_settings
from core.sql_endpoint import serve_sql

_LOG = get_logger(__name__)


def add_to(app: typer.Typer) -> None:
    for command in (demo, doctor, serve, worker):
        app.command()(command)
    app.command("sql-endpoint")(sql_endpoint)
    app.command(hidden=True)(perform)
    group = typer.Typer(no_args_is_help=True, help="Show the notification channels and send test messages.")
    group.command("status")(notification_status)
    group.command("test")(notification_test)
    app.add_typer(group, name="notifications")


def demo(as_json: Json = False) -> None:
    """Build the sample workspace."""
    built = build_sample(get_stores(), notify=lambda line: print(line, file=sys.stderr))
    write_answer({"made": list(built), "home": str(get_stores().settings.home)}, as_json=as_json)


def doctor(as_json: Json = False) -> None:
    """Check all connections and settings."""
    checks = run_checks(load_settings(), open_stores)
    if as_json:
        write_answer([asdict(check) for check in checks], as_json=True)
    else:
        write_answer([_check_row(check) for check in checks], as_json=False)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def _check_row(check: Check) -> dict[str, str]:
    """One row of `doctor` for people: the state or the advice, and the source of a setting."""
    origin = f" ({check.source})" if check.source not in ("", "default") else ""
    return {
        "": "ok" if check.ok else "not ok",
        "what": check.name,
        "is": (check.detail if check.ok else check.advice or check.detail) + origin,
    }


def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
    address: Annotated[str, typer.Option(help="Address to listen on. Only loopback without sign-in.")] = "127.0.0.1",
    with_worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Start a worker too.")] = True,
) -> None:
    """Serve the app and start a worker."""
    settings = load_settings()
    if settings.has_sign_in:
        enable_provider(get_stores(), channel="serve")
    else:
        refuse_demo(get_stores())
    if settings.is_embedded and settings.sample:
        build_sample(get_stores(), notify=lambda line: print(f"Sample workspace: {line}", file=sys.stderr))
    raise typer.Exit(
        serve_app(
            port=port,
            address=address,
            with_worker=with_worker,
            secrets=settings.secrets_file if settings.has_sign_in else None,
            hosts=settings.hosts.split(),
            upload_limit_mb=settings.upload_limit_mb,
        )
    )


def worker() -> None:
    """Run jobs and schedules, sign the audit log, inspect the registry and send notifications."""
    configure_logs(default_level="info")
    stores = get_stores()
    schedule = HeadSchedule(stores)
    inspection = InspectionSchedule(stores, every_s=stores.settings.inspect_every_s)

    def between() -> None:
        fire_due(stores)
        schedule.sign_if_due()
        try:
            inspection.inspect_if_due()
        except Unavailable as error:
            # An outage of MLflow must not stop jobs that need only Delta. The next inspection tries again.
            _LOG.warning("the registry cannot be inspected now", error=str(error))

    with sending(stores):
        run_worker(stores.jobs, command=_perform_command, between=between, on_lost=lambda job: clean_up(stores, job))


def notification_status(as_: As = None, as_json: Json = False) -> None:
    """List the notification channels with their last success, last error and next try."""
    channels = list_channels(get_stores(), get_actor(as_))
    write_answer([_channel_document(channel) for channel in channels], as_json=as_json)


def notification_test(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="Name of the channel in the settings.")],
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Send a test message and wait for the receiver's answer."""
    write_answer(_channel_document(send_test(get_stores(), get_actor(as_, "admin"), channel)), as_json=as_json)


def _channel_document(channel: ChannelState) -> dict[str, Any]:
    progress = channel.progress
    return {
        "name": channel.name,
        "kind": channel.kind,
        "place": channel.place,
        "events": channel.events,
        "models": channel.models,
        "roles": channel.roles,
        "ok": channel.is_ok,
        "summary": channel.summary,
        "pending": channel.pending,
        "given_up": progress.given_up if progress else 0,
        "last_sent": progress.last_sent if progress else None,
        "last_error": progress.last_error if progress else None,
        "last_error_at": progress.last_error_at if progress else None,
        "next_try": progress.next_try if progress else None,
        "stopped": bool(progress and progress.stopped),
    }


def sql_endpoint(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 10_000,
    host: Annotated[str, typer.Option(help="Address to listen on. There is no sign-in: see docs/spark.md.")] = (
        "127.0.0.1"
    ),
    shared: Annotated[
        bool,
        typer.Option("--shared", help="Accept connections from other machines (see docs/spark.md)."),
    ] = False,
) -> None:
    """Serve the tables to BI tools over Spark's Thrift server. Needs Java 17."""
    serve_sql(load_settings(), host=host, port=port, shared=shared, report=lambda line: print(line, file=sys.stderr))


def perform(job_id: str, attempt: Annotated[int, typer.Option()]) -> None:
    """Run one claimed job in a child process of the worker."""
    configure_logs(default_level="info")
    stores = get_stores()
    status = run_job(
        stores.jobs,
        job_id,
        attempt=attempt,
        work=lambda actor, kind, arguments, progress: run_service(
            stores, actor, kind, arguments, progress, job=stores.jobs.get(job_id)
        ),
    )
    if status is not JobStatus.FINISHED:
        raise typer.Exit(1)


def _perform_command(job_id: str, attempt: int) -> list[str]:
    return [sys.executable, "-m", "core", "perform", job_id, "--attempt", str(attempt)]
