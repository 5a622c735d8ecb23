"""Signed tree heads as C2SP tlog-checkpoints: three lines and a time, signed with Ed25519 as a C2SP signed note."""

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
    """What a head says: the log *origin* had *size* events then, and *root* over their hashes. *time* is a claim."""

    origin: str
    size: int
    root: bytes
    time: datetime | None = None

    @property
    def text(self) -> str:
        """The note's text, its last newline included."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode()]
        if self.time is not None:
            lines.append(f"{_TIME}{self.time.astimezone(UTC).isoformat(timespec='seconds').replace('+00:00', 'Z')}")
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True)
class VerifierKey:
    """A public key with its name, written NAME+ID+KEY as C2SP signed notes do."""

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
            raise BadHead("That is no public key of a log; it is one line NAME+ID+KEY, as `audit key` prints it.")
        return key

    @property
    def id(self) -> bytes:
        """The four bytes by which a signature names its key."""
        return hashlib.sha256(f"{self.name}\n".encode() + _ED25519 + self.public).digest()[:4]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the public key, in hex: short enough to be read out."""
        return hashlib.sha256(self.public).hexdigest()

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    def holds(self, text: str, signature: bytes) -> bool:
        """Whether *signature* over *text* is this key's."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """The private key of a log's heads."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.verifier = VerifierKey(name, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def sign(self, text: str) -> str:
        """The signed note over *text*, which ends with a newline."""
        blob = base64.b64encode(self.verifier.id + self._private.sign(text.encode())).decode()
        return f"{text}\n{_DASH}{self.verifier.name} {blob}\n"


def open_note(note: str, keys: tuple[VerifierKey, ...]) -> tuple[str, VerifierKey]:
    """The text of a signed note and the first of *keys* that signed it. Raises BadHead."""
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or len(note) > _LONGEST_NOTE or not signatures.endswith("\n"):
        raise BadHead("That is no signed head: it has a text, an empty line, and lines that begin with a dash.")
    text += "\n"
    known = {(key.name, key.id): key for key in keys}
    for line in signatures.splitlines():
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        try:
            blob = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise BadHead("That is no signed head: a signature in it is no base64.") from error
        key = known.get((name, blob[:4])) if line.startswith(_DASH) else None
        if key is not None:
            if key.holds(text, blob[4:]):
                return text, key
            raise BadHead(f"The signature of {name} does not fit the text: the head was altered after it was signed.")
    raise BadHead("The head is signed by none of the keys of this log; name the key it was signed with.")


def read_checkpoint(text: str) -> Checkpoint:
    """The head that a note's text says. Raises BadHead."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]) or not _SIZE.match(lines[1]):
        raise BadHead("That is no tree head: its lines are the log's name, the number of events and the root.")
    try:
        root = base64.b64decode(lines[2], validate=True)
        told = next((line.removeprefix(_TIME) for line in lines[3:-1] if line.startswith(_TIME)), None)
        time = None if told is None else datetime.fromisoformat(told)
    except ValueError as error:
        raise BadHead("That is no tree head: its root or its time cannot be read.") from error
    if len(root) != 32:
        raise BadHead("That is no tree head: its root is not 32 bytes long.")
    return Checkpoint(origin=lines[0], size=int(lines[1]), root=root, time=time)


def load_signing_key(file: Path, name: str) -> SigningKey:
    """The key in *file*, made on first use and readable by its owner alone. Raises BadSettings."""
    try:
        if not file.exists():
            _make(file)
        if os.name == "posix" and file.stat().st_mode & 0o077:
            raise BadSettings(f"The signing key {file} can be read by others; run chmod 600 on it.")
        private = load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise BadSettings(f"The signing key {file} cannot be used ({error.strerror}).") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadSettings(
            f"{file} holds no signing key: an Ed25519 key in PEM (PKCS 8), without a password."
        ) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise BadSettings(f"{file} holds a key of another kind; an Ed25519 key is needed.")
    return SigningKey(name, private)


def _make(file: Path) -> None:
    """Writes a new key whole or not at all; of two processes at once the first one's key stays."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes the file with mode 0600: the key is never readable by others, not even for a moment.
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
