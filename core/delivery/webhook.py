"""Webhooks: a signed POST to a checked address, without redirects.

Source: the Standard Webhooks specification 1.0 (headers webhook-id, webhook-timestamp and webhook-signature).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urlsplit

from core.delivery.addresses import CONNECT_TIMEOUT_S, Allowed, check_host, connect, deadline
from core.errors import BadInput, NotDelivered, first_line

# The whole exchange, TLS included, whatever the receiver sends meanwhile.
TIMEOUT_S = 10.0
_SECRET_PREFIX = "whsec_"  # noqa: S105 — the prefix of every secret
_SECRET_BYTES = range(24, 65)
# Answers of a receiver that is busy or not ready, beside 5xx.
_TRY_AGAIN = frozenset({408, 425, 429})
_GONE = 410


@dataclass(frozen=True)
class Endpoint:
    """The address of a webhook, taken apart and checked as far as is possible without a name server."""

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, url: str, allowed: Allowed) -> Endpoint:
        """Raises BadInput or AddressRefused. The messages name the host only: the rest of the address can be secret."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise BadInput("The address of the webhook is not a valid URL.") from error
        _require_plain(url, parts, host)
        check_host(host, allowed)
        if port == 0:
            raise BadInput("The address of the webhook at {host} has the port 0.", host=host)
        default = 443 if parts.scheme == "https" else 80
        query = f"?{parts.query}" if parts.query else ""
        return cls(parts.scheme, host, port or default, f"{parts.path or '/'}{query}")


def secret_key(secret: str) -> bytes:
    """Return the key in a secret: whsec_ followed by the base64 of 24 to 64 bytes. Raises BadInput."""
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(_SECRET_PREFIX) or len(key) not in _SECRET_BYTES:
        raise BadInput(
            "The secret of the webhook is not whsec_ followed by the base64 of 24 to 64 random bytes. Make one with: "
            'echo "whsec_$(openssl rand -base64 32)"'
        )
    return key


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of webhook-signature."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def post(
    endpoint: Endpoint, body: bytes, *, message_id: str, key: bytes | None, allowed: Allowed, now: datetime
) -> None:
    """Send one message and return when the receiver accepted it (2xx).

    Raises:
        NotDelivered: with *is_final* where another try cannot succeed.
        AddressRefused: the host resolves to an address that is not allowed, or has no TLS.
    """
    timestamp = int(now.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "ModelLedger",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
    }
    if key is not None:
        headers["webhook-signature"] = sign(key, message_id, timestamp, body)
    status, retry_after = _exchange(endpoint, body, headers, allowed)
    if 200 <= status < 300:
        return
    error = _refusal(endpoint.host, status)
    error.is_gone = status == _GONE
    error.is_final = status < 500 and status not in _TRY_AGAIN
    error.retry_after_s = _seconds(retry_after, now)
    raise error


def _exchange(endpoint: Endpoint, body: bytes, headers: dict[str, str], allowed: Allowed) -> tuple[int, str | None]:
    """Return the status and Retry-After of the answer. Its body is not read."""
    is_encrypted = endpoint.scheme == "https"
    connection = connect(endpoint.host, endpoint.port, allowed, is_encrypted=is_encrypted)
    with connection, deadline(connection, TIMEOUT_S):
        try:
            if is_encrypted:
                context = ssl.create_default_context()
                client: http.client.HTTPConnection = http.client.HTTPSConnection(endpoint.host, endpoint.port)
                connection = context.wrap_socket(connection, server_hostname=endpoint.host)
            else:
                client = http.client.HTTPConnection(endpoint.host, endpoint.port)
            # The checked connection is given, so that the client opens none itself.
            client.sock = connection
            client.request("POST", endpoint.target, body=body, headers=headers)
            answer = client.getresponse()
            return answer.status, answer.getheader("Retry-After")
        except ssl.SSLCertVerificationError as error:
            raise NotDelivered(
                "The certificate of {host} is not valid ({cause}).", host=endpoint.host, cause=error.verify_message
            ) from error
        except TimeoutError as error:
            raise NotDelivered(
                "{host} accepted the connection, but did not answer within {seconds:.0f} s.",
                host=endpoint.host,
                seconds=CONNECT_TIMEOUT_S,
            ) from error
        except ConnectionError as error:  # also http.client.RemoteDisconnected; or the deadline has passed
            raise NotDelivered("The connection to {host} ended without an answer.", host=endpoint.host) from error
        except OSError as error:
            raise NotDelivered(
                "The connection to {host} failed ({cause}).", host=endpoint.host, cause=first_line(error)
            ) from error
        except http.client.HTTPException as error:
            raise NotDelivered("{host} did not send a complete HTTP answer.", host=endpoint.host) from error
        finally:
            connection.close()


def _refusal(host: str, status: int) -> NotDelivered:
    if 300 <= status < 400:
        return NotDelivered(
            "{host} answered with a redirect ({status}), which is not followed. Write the final address.",
            host=host,
            status=status,
        )
    if status == _GONE:
        return NotDelivered(
            "{host} answered that the webhook no longer exists ({status}). Nothing more is sent to it.",
            host=host,
            status=status,
        )
    return NotDelivered("{host} answered with the status {status}.", host=host, status=status)


def _seconds(retry_after: str | None, now: datetime) -> float | None:
    """Return the wait that Retry-After asks for: a number of seconds or a date."""
    if retry_after is None:
        return None
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()


def _require_plain(url: str, parts: SplitResult, host: str) -> None:
    if parts.scheme not in ("https", "http") or not host:
        raise BadInput("The address of the webhook does not start with https:// and a host.")
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        raise BadInput("The address of the webhook has characters that are not allowed in a URL.")
    if parts.username is not None or parts.password is not None:
        raise BadInput("The address of the webhook at {host} has a user name or a password. Remove it.", host=host)
