"""Receivers of notifications on this machine: a web server and a mail server that answer as a test wants."""

from __future__ import annotations

import base64
import json
import os
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Hook:
    """A web server. *answers* are used up one by one; then each answer is 200. A *silent* one never answers."""

    port: int = 0
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    silent: bool = False
    asked: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?key=c4nary-in-the-address"

    @property
    def ids(self) -> list[str]:
        return [one.headers["webhook-id"] for one in self.received]


@contextmanager
def hook(context: ssl.SSLContext | None = None) -> Iterator[Hook]:
    state = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.received.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            state.asked.set()
            if state.silent:
                state.closing.wait(60)
                return
            status, headers = state.answers.pop(0) if state.answers else (200, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None: ...

    with Server(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            state.closing.set()
            server.shutdown()
            thread.join()


@dataclass
class MailBox:
    """A mail server (RFC 5321 as far as a client needs it). *replies* replaces its reply to a command."""

    port: int = 0
    offers_tls: bool = True
    replies: dict[str, str] = field(default_factory=dict)
    messages: list[bytes] = field(default_factory=list)
    commands: list[tuple[bool, str]] = field(default_factory=list)


@contextmanager
def mailbox(context: ssl.SSLContext, *, implicit: bool = False) -> Iterator[MailBox]:
    state = MailBox()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            encrypted = implicit
            if implicit:
                self._encrypt()
            self._say("220 mail.test")
            while line := self.rfile.readline():
                command = line.decode().strip()
                verb = command.split(" ")[0].upper().partition(":")[0]
                state.commands.append((encrypted, command))
                if verb in state.replies:
                    self._say(state.replies[verb])
                elif verb == "EHLO":
                    offers = ["AUTH PLAIN"] if encrypted else ["STARTTLS"] if state.offers_tls else []
                    self._say("250-mail.test")
                    for offer in offers:
                        self._say(f"250-{offer}")
                    self._say("250 SIZE")
                elif verb == "STARTTLS":
                    self._say("220 go ahead")
                    self._encrypt()
                    encrypted = True
                elif verb == "AUTH":
                    self._say("235 welcome")
                elif verb == "DATA":
                    self._say("354 end with a dot")
                    lines = []
                    while (part := self.rfile.readline()) != b".\r\n":
                        lines.append(part)
                    state.messages.append(b"".join(lines))
                    self._say("250 kept")
                elif verb == "QUIT":
                    self._say("221 bye")
                    return
                else:
                    self._say("250 ok")

        def finish(self) -> None:
            self.rfile.close()
            self.wfile.close()
            self.connection.close()

        def _say(self, reply: str) -> None:
            self.wfile.write(reply.encode() + b"\r\n")
            self.wfile.flush()

        def _encrypt(self) -> None:
            self.rfile.close()
            self.wfile.close()
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None: ...

    with Server(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS for *names*, and the file by which a client trusts it (SSL_CERT_FILE)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    os.chmod(key_file, 0o600)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    return context, cert_file
