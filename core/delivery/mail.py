"""E-mail: sends one message by SMTP over TLS, to a checked address of the mail server."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Literal

from core.delivery.addresses import CONNECT_TIMEOUT_S, Allowed, connect, deadline
from core.errors import NotDelivered, first_line

# The whole conversation, whatever the server sends meanwhile.
TIMEOUT_S = 20.0


@dataclass(frozen=True)
class MailServer:
    """A mail server. "starttls" upgrades a plain connection before anything else, "implicit" starts with TLS."""

    host: str
    port: int
    tls: Literal["starttls", "implicit"]
    sender: str
    user: str | None = None
    password: str | None = None


def send(message: EmailMessage, server: MailServer, allowed: Allowed) -> None:
    """Send *message* and return when the server accepted it. Nothing is sent without TLS.

    Raises:
        NotDelivered: with *is_final* where the server refused the message or all its recipients for good.
        AddressRefused: the host resolves to an address that is not allowed.
    """
    connection = connect(server.host, server.port, allowed)
    with connection, deadline(connection, TIMEOUT_S), _translated(server):
        context = ssl.create_default_context()
        with _Client(server.host, server.port, connection, context if server.tls == "implicit" else None) as client:
            if server.tls == "starttls":
                client.starttls(context=context)
            if server.user is not None and server.password is not None:
                client.login(server.user, server.password)
            refused = client.send_message(message)
    if refused:
        error = NotDelivered(
            "The mail server {host} refused {count} of {all} recipients.",
            host=server.host,
            count=len(refused),
            all=len(message.get_all("To", [])[0].addresses),
        )
        error.is_final = True  # the others have the message
        raise error


class _Client(smtplib.SMTP):
    """smtplib's client on the checked connection; the certificate is compared with the name of the host."""

    def __init__(self, host: str, port: int, connection: socket.socket, context: ssl.SSLContext | None) -> None:
        self._connection, self._context = connection, context
        # Without local_hostname, smtplib asks the name server for the name of this machine and waits.
        super().__init__(host, port, local_hostname="modelledger", timeout=CONNECT_TIMEOUT_S)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        if self._context is None:
            return self._connection
        return self._context.wrap_socket(self._connection, server_hostname=host)


@contextmanager
def _translated(server: MailServer) -> Iterator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise NotDelivered(
            "The certificate of the mail server {host} is not valid ({cause}).",
            host=server.host,
            cause=error.verify_message,
        ) from error
    except smtplib.SMTPNotSupportedError as error:
        raise NotDelivered(
            "The mail server {host} does not offer what is needed ({cause}). ModelLedger sends e-mail over TLS only.",
            host=server.host,
            cause=first_line(error),
        ) from error
    except smtplib.SMTPAuthenticationError as error:
        # Not final: an admin corrects the password, and nothing is lost meanwhile.
        raise NotDelivered(
            "The mail server {host} does not accept the user name or the password ({code}).",
            host=server.host,
            code=error.smtp_code,
        ) from error
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise _refused(server, min(codes)) from error
    except smtplib.SMTPResponseException as error:
        raise _refused(server, error.smtp_code) from error
    except TimeoutError as error:
        raise NotDelivered(
            "The mail server {host} did not answer within {seconds:.0f} s.",
            host=server.host,
            seconds=CONNECT_TIMEOUT_S,
        ) from error
    except (OSError, smtplib.SMTPException) as error:
        raise NotDelivered(
            "The mail server {host} ended the conversation ({cause}).", host=server.host, cause=first_line(error)
        ) from error


def _refused(server: MailServer, code: int) -> NotDelivered:
    """Return the error for a reply of the server: 5xx is final, 4xx is not (RFC 5321, 4.2.1)."""
    error = NotDelivered("The mail server {host} refused the message ({code}).", host=server.host, code=code)
    error.is_final = code >= 500
    return error
