"""A real OIDC provider and a ModelLedger that signs in with it, both on loopback and both ended by their process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.apptest import components_are_looked_for_once  # noqa: F401 -- for every page here
from tests.browser.conftest import (  # noqa: F401 — fixtures, under their own names
    clean_environment,
    context,
    free_port,
    page,
    start_server,
    stop_server,
)
from tests.security.nasty import build

# Chosen here, so that a test can sign what the server would have signed at another time.
COOKIE_SECRET = "a cookie secret of these tests alone"
PEOPLE = {
    "ada": ["Revision"],
    "sam": ["Data Science"],
    "mia": ["Model Risk"],
    "bea": ["Data Science", "Model Risk"],
    "ian": ["IT"],
    "eve": ["Canteen"],
}
ROLES = {"Revision": "auditor", "Data Science": "scientist", "Model Risk": "manager", "IT": "admin"}


@dataclass(frozen=True)
class SignedInServer:
    url: str
    issuer: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """The address of a running provider that knows PEOPLE."""
    port = free_port()
    users = [
        part
        for name, groups in PEOPLE.items()
        for part in (
            "--user-claims",
            json.dumps({"sub": name, "email": f"{name}@bank.example", "email_verified": True, "groups": groups}),
        )
    ]
    provider = subprocess.Popen(
        [
            str(Path(sys.executable).parent / "oidc-provider-mock"),
            "-H",
            "127.0.0.1",
            "-p",
            str(port),
            "-n",
            "true",
            *users,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            assert provider.poll() is None, "the provider ended"
            try:
                with urllib.request.urlopen(f"{address}/.well-known/openid-configuration", timeout=2):
                    break
            except OSError:
                time.sleep(0.25)
        yield address
    finally:
        stop_server(provider)


@pytest.fixture(scope="module")
def bank(issuer: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedInServer]:
    """ModelLedger with a secrets file that names the provider; its workspace is empty."""
    with signed_in_server(issuer, tmp_path_factory.mktemp("bank")) as server:
        yield server


@contextmanager
def signed_in_server(issuer: str, folder: Path) -> Iterator[SignedInServer]:
    """ModelLedger on the workspace *folder*/home, with a secrets file that names the provider."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    secrets = folder / "secrets.toml"
    secrets.write_text(
        f'[auth]\nredirect_uri = "{url}/oauth2callback"\ncookie_secret = "{COOKIE_SECRET}"\n'
        f'client_id = "modelledger"\nclient_secret = "not checked by this provider"\n'
        f'server_metadata_url = "{issuer}/.well-known/openid-configuration"\n'
    )
    environment = clean_environment(folder / "home") | {
        "MODELLEDGER_SECRETS": str(secrets),
        "MODELLEDGER_ROLES": json.dumps(ROLES),
        "MODELLEDGER_SAMPLE": "false",
    }
    server = start_server(environment, port)
    try:
        yield SignedInServer(url=url, issuer=issuer, environment=environment)
    finally:
        stop_server(server)


@pytest.fixture(scope="session")
def nasty_home(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which every name, description and reason would act where it is not inert."""
    folder = tmp_path_factory.mktemp("nasty") / "home"
    build(sample_home, folder)
    return folder
