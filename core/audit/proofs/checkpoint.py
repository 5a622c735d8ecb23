"""Checkpoints: signed tree heads in the C2SP formats tlog-checkpoint and signed-note, with Ed25519 keys."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from core.errors import BadHead, BadSettings

_ED25519 = b"\x01"
_DASH = "\N{EM DASH} "
_LONGEST_NOTE = 100_000
_TIME = "time "
_SIZE = re.compile(r"^(0|[1-9][0-9]{0,17})$")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The content of a head: the log *origin* had *size* events with the Merkle *root*. *time* is a claim."""

    origin: str
    size: int
    root: bytes
    time: datetime | None = None

    @property
    def text(self) -> str:
        """The text of the note, with its last newline."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode()]
        if self.time is not None:
            lines.append(f"{_TIME}{self.time.astimezone(UTC).isoformat(timespec='seconds').replace('+00:00', 'Z')}")
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True)
class VerifierKey:
    """A public key with its name, written NAME+ID+KEY as in C2SP signed notes."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Raises BadHead."""
        name, _, rest = text.strip().partition("+")
        number, _, encoded = rest.partition("+")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raw = b""
        key = cls(name, raw[1:])
        if len(raw) != 33 or raw[:1] != _ED25519 or key.id.hex() != number:
            raise BadHead("This is not a public key of a log. A key is one line NAME+ID+KEY, as `audit key` prints it.")
        return key

    @property
    def id(self) -> bytes:
        """The four bytes with which a signature names its key."""
        return hashlib.sha256(f"{self.name}\n".encode() + _ED25519 + self.public).digest()[:4]

    @property
    def fingerprint(self) -> str:
        """The hex SHA-256 of the public key, short enough to be read out."""
        return hashlib.sha256(self.public).hexdigest()

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    def holds(self, text: str, signature: bytes) -> bool:
        """Return whether *signature* is a signature of this key over *text*."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """The private key that signs the heads of a log."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.verifier = VerifierKey(name, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def sign(self, text: str) -> str:
        """Return the signed note over *text*, which must end with a newline."""
        blob = base64.b64encode(self.verifier.id + self._private.sign(text.encode())).decode()
        return f"{text}\n{_DASH}{self.verifier.name} {blob}\n"


def open_note(note: str, keys: tuple[VerifierKey, ...]) -> tuple[str, VerifierKey]:
    """Return the text of a signed note and the first of *keys* that signed the note. Raises BadHead."""
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or len(note) > _LONGEST_NOTE or not signatures.endswith("\n"):
        raise BadHead("This is not a signed head. A head is a text, an empty line, and lines that begin with a dash.")
    text += "\n"
    keys_by_id = {(key.name, key.id): key for key in keys}
    for line in signatures.splitlines():
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        try:
            blob = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise BadHead("This is not a signed head: one of its signatures is not valid base64.") from error
        key = keys_by_id.get((name, blob[:4])) if line.startswith(_DASH) else None
        if key is not None:
            if key.holds(text, blob[4:]):
                return text, key
            raise BadHead(
                "The signature of {name} does not match the text: the head was altered after it was signed.", name=name
            )
    raise BadHead("The head is not signed with a key of this log. Name the key that signed the head.")


def read_checkpoint(text: str) -> Checkpoint:
    """Return the head that the text of a note states. Raises BadHead."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]) or not _SIZE.match(lines[1]):
        raise BadHead("This is not a tree head. Its lines must be the log's name, the number of events and the root.")
    try:
        root = base64.b64decode(lines[2], validate=True)
        time_text = next((line.removeprefix(_TIME) for line in lines[3:-1] if line.startswith(_TIME)), None)
        time = None if time_text is None else datetime.fromisoformat(time_text)
    except ValueError as error:
        raise BadHead("This is not a tree head: its root or its time is not valid.") from error
    if len(root) != 32:
        raise BadHead("This is not a tree head: its root is not 32 bytes long.")
    return Checkpoint(origin=lines[0], size=int(lines[1]), root=root, time=time)


def load_signing_key(file: Path, name: str) -> SigningKey:
    """Return the key in *file*, created on first use and readable only by its owner. Raises BadSettings."""
    try:
        if not file.exists():
            _make(file)
        if os.name == "posix" and file.stat().st_mode & 0o077:
            raise BadSettings("Other users can read the signing key {file}. Run chmod 600 on the file.", file=file)
        private = load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise BadSettings(
            "The signing key {file} cannot be used ({cause}).", file=file, cause=error.strerror
        ) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadSettings(
            "{file} is not a signing key: an Ed25519 key in PEM (PKCS 8) without a password is needed.",
            file=file,
        ) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise BadSettings("{file} is a key of another type. An Ed25519 key is needed.", file=file)
    return SigningKey(name, private)


def _make(file: Path) -> None:
    """Write a new key whole or not at all. Of two processes at once, the key of the first stays."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp creates the file with mode 0600: other users can never read the key, not even for a moment.
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(pem)
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(temporary, file)
        except FileExistsError:
            return
    finally:
        os.unlink(temporary)
