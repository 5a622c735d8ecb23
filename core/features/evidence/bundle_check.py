#!/usr/bin/env python3
"""Verifies an evidence bundle. Needs Python 3.11 and the package cryptography, but not ModelLedger.

    python -I verify.py --key NAME+ID+KEY             the folder of this file
    python -I verify.py BUNDLE.zip --key NAME+ID+KEY  a bundle as a ZIP file

NAME+ID+KEY is the log's public key, from another source than the bundle, or a file that holds the key.
Exit codes: 0: the bundle is valid and signed with that key. 1: not valid; the message names the file. 2: wrong usage.
3: the files are consistent, but no key was given, so anybody may have signed them.
"""

import os  # built into Python like sys, so Python does not search for it; __future__ would be searched for
import sys

if __name__ == "__main__":
    # A json.py in the folder of this file would run instead of Python's own, so this folder is not searched.
    _OWN = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.realpath(path or os.curdir) != _OWN]

import argparse
import base64
import binascii
import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MANIFEST, SIGNED_MANIFEST, EVENTS, HEAD, KEY = "manifest.json", "manifest.note", "events.jsonl", "head.txt", "key.txt"
FORMAT = "modelledger-bundle/1"
MANIFEST_LINE = "modelledger bundle manifest"
# Exit code where the files are consistent, but signed with a key that only the bundle itself names.
SIGNER_UNKNOWN = 3
_UNLISTED = {MANIFEST, SIGNED_MANIFEST}
_MAX_FILE_BYTES = 500_000_000
_MAX_BUNDLE_BYTES = 1_000_000_000
_DASH = "\N{EM DASH} "


class Refused(Exception):
    """The bundle is not valid. *file* is the name of the file that shows it."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(f"{file}: {why}")
        self.file = file


@dataclass(frozen=True)
class Proof:
    """The statements that were proven and those that were not, and the key of the signature with its SHA-256.

    *signer_known*: the key was given or is trusted, and does not come from the bundle alone.
    """

    proved: tuple[str, ...]
    not_proved: tuple[str, ...]
    signer_known: bool
    key: str
    fingerprint: str

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        if self.signer_known:
            return "The bundle is valid."
        return (
            "SIGNER UNKNOWN. The files are consistent, but anybody may have signed them. Give the log's public key "
            "from another source."
        )


Keys = Sequence[str]
Read = Callable[[str], bytes]


def check_zip(path: Path, keys: Keys = ()) -> Proof:
    """Check a bundle as a ZIP file against one of *keys* (NAME+ID+KEY).

    Raises:
        Refused: the bundle is not valid.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            listed = [item for item in archive.infolist() if not item.is_dir()]
            sizes = {item.filename: item.file_size for item in listed}
            if len(sizes) != len(listed):
                raise Refused(path.name, "it holds two files with the same name")
            for name, size in sizes.items():
                if size > _MAX_FILE_BYTES:
                    raise Refused(name, "it is too large for a file of a bundle")
            if sum(sizes.values()) > _MAX_BUNDLE_BYTES:
                raise Refused(path.name, "its files are too large for a bundle")

            def read(name: str) -> bytes:
                try:
                    return archive.read(name)
                except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
                    raise Refused(name, f"it cannot be read, because the archive is damaged ({error})") from error

            return check_files(read, set(sizes), keys)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise Refused(path.name, f"it is not a readable bundle ({error})") from error


def check_folder(folder: Path, keys: Keys = ()) -> Proof:
    """Check an unpacked bundle. The folder must not hold other files.

    Raises:
        Refused: the bundle is not valid.
    """
    names = set()
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise Refused(name, "it is not a regular file")
        if path.is_file():
            names.add(name)
    return check_files(lambda name: (folder / name).read_bytes(), names, keys)


def check_files(read: Read, names: set[str], keys: Keys = ()) -> Proof:
    """Check each file against the manifest, and the manifest and the head against one of *keys*.

    Without *keys*, the key in the bundle is used, which proves nothing about the signer.
    """
    manifest = _manifest(read, names)
    key_text = _choose_key(_text(read, KEY).strip(), [key.strip() for key in keys])
    name, public = _public_key(key_text)
    digest = base64.b64encode(hashlib.sha256(read(MANIFEST)).digest()).decode()
    signed = _signed_text(_text(read, SIGNED_MANIFEST), SIGNED_MANIFEST, name, public)
    if signed != f"{name}\n{MANIFEST_LINE}\n{digest}\n":
        raise Refused(MANIFEST, "it is not the signed manifest")
    head = _signed_text(_text(read, HEAD), HEAD, name, public).split("\n")
    try:
        size, root = int(head[1]), base64.b64decode(head[2], validate=True)
    except (ValueError, IndexError) as error:
        raise Refused(HEAD, "it is not the head of a log") from error
    count, first, last = _check_events(_text(read, EVENTS), size, root)
    signed_at = next(
        (line.removeprefix("time ") for line in head[3:] if line.startswith("time ")), "at an unknown time"
    )
    fingerprint = hashlib.sha256(public).hexdigest()
    proved = (
        f"All {len(manifest['files'])} files are byte for byte those that the holder of the key put into the bundle "
        f"about {manifest['subject']}. No file is missing and none was added.",
        f"The head of the log {name} over {size} events, signed {signed_at}, is signed with that key.",
        f"Each of the {count} events in {EVENTS} (numbers {first} to {last}) is in that log at its number and was not "
        "altered since: its text gives its hash, and the hash leads to the signed root.",
    )
    signer = (
        "Who holds the key. You gave the key, or this installation trusts it; its owner must keep it secret."
        if keys
        else "Who signed the bundle. The key came with the bundle, and anybody can make a key. Compare its SHA-256 "
        f"with one from another source: {fingerprint}"
    )
    return Proof(
        proved,
        (
            signer,
            "That the entries of the log were true when they were written, and that the time of the head is right.",
            "That these are all events about the subject. A log proves its entries, not what a copy leaves out.",
            "That the log itself was not changed after this head. For that, verify the log against this head.",
        ),
        signer_known=bool(keys),
        key=key_text,
        fingerprint=fingerprint,
    )


def _manifest(read: Read, names: set[str]) -> dict[str, Any]:
    for needed in (MANIFEST, SIGNED_MANIFEST):
        if needed not in names:
            raise Refused(needed, "it is missing")
    try:
        manifest = json.loads(read(MANIFEST))
        files = {str(name): (str(facts["sha256"]), int(facts["bytes"])) for name, facts in manifest["files"].items()}
        is_known = manifest["format"] == FORMAT and {KEY, HEAD, EVENTS} <= set(files) and bool(manifest["subject"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(MANIFEST, "it is not the manifest of a bundle") from error
    if not is_known:
        raise Refused(MANIFEST, f"it is not a manifest of the format {FORMAT}")
    for name in sorted(names - set(files) - _UNLISTED):
        raise Refused(name, "it was added: the manifest does not list it")
    for name, facts in sorted(files.items()):
        if name not in names:
            raise Refused(name, "it is missing")
        content = read(name)
        if (hashlib.sha256(content).hexdigest(), len(content)) != facts:
            raise Refused(name, "it was altered: it differs from the manifest")
    return {**manifest, "files": files}


def _choose_key(own: str, keys: Keys) -> str:
    """Return the key that the bundle names. If *keys* are given, it must be one of them."""
    if keys and own not in keys:
        _, public = _public_key(own)
        raise Refused(
            KEY,
            "the bundle is signed with an unknown key; the SHA-256 of the key is "
            f"{hashlib.sha256(public).hexdigest()}. Anybody can make a key, so give this key only if you have it from "
            "another source",
        )
    return own


def _text(read: Read, name: str) -> str:
    try:
        return read(name).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(name, "it is not UTF-8 text") from error


def _public_key(text: str) -> tuple[str, bytes]:
    name, _, rest = text.partition("+")
    number, _, encoded = rest.partition("+")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise Refused(KEY, "it is not a public key") from error
    if len(raw) != 33 or raw[0] != 1 or _key_id(name, raw[1:]).hex() != number:
        raise Refused(KEY, "it is not a public key")
    return name, raw[1:]


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]


def _signed_text(note: str, file: str, name: str, public: bytes) -> str:
    text, separator, signatures = note.rpartition("\n\n")
    wanted = _key_id(name, public)
    for line in signatures.splitlines() if separator else ():
        signer, _, encoded = line.removeprefix(_DASH).partition(" ")
        try:
            blob = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise Refused(file, "its signature is not readable") from error
        if line.startswith(_DASH) and signer == name and blob[:4] == wanted:
            try:
                Ed25519PublicKey.from_public_bytes(public).verify(blob[4:], f"{text}\n".encode())
            except InvalidSignature as error:
                raise Refused(
                    file, "its signature is not valid: the file was altered, or signed with another key"
                ) from error
            return f"{text}\n"
    raise Refused(file, "it is not signed with this key")


def _check_events(text: str, size: int, root: bytes) -> tuple[int, int, int]:
    numbers: list[int] = []
    before: tuple[int, str] | None = None
    # Not splitlines(): a reason may hold U+2028, which JSON leaves as it is.
    for line_number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        try:
            entry = json.loads(line)
            content, event_hash = str(entry["text"]), str(entry["hash"])
            event = json.loads(content)
            number, previous = int(event["sequence"]), str(event["previous"])
            proof = [bytes.fromhex(node) for node in entry["proof"]]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Refused(EVENTS, f"line {line_number} is not an event with a proof") from error
        if hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest() != event_hash:
            raise Refused(EVENTS, f"event {number} was altered: its text does not give its hash")
        leaf = hashlib.sha256(b"\x00" + bytes.fromhex(event_hash)).digest()
        if _root(leaf, number - 1, size, proof) != root:
            raise Refused(EVENTS, f"the proof of event {number} does not show that it is in the log at its number")
        if before and number == before[0] + 1 and previous != before[1]:
            raise Refused(EVENTS, f"event {number} does not follow event {number - 1}")
        before = (number, event_hash)
        numbers.append(number)
    if not numbers:
        raise Refused(EVENTS, "it holds no events")
    return len(numbers), min(numbers), max(numbers)


def _root(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes | None:
    """Return the root to which an inclusion proof leads (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < size:
        return None
    node, last, digest = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return None
        if node & 1 or node == last:
            digest = hashlib.sha256(b"\x01" + sibling + digest).digest()
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            digest = hashlib.sha256(b"\x01" + digest + sibling).digest()
        node, last = node >> 1, last >> 1
    return digest if last == 0 else None


def _printable(text: str) -> str:
    """Return *text* without characters that control terminals: anybody can choose names in a bundle."""
    return "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in text)


def main(arguments: list[str] | None = None) -> int:
    """The command line of verify.py."""
    parser = argparse.ArgumentParser(description="Verify an evidence bundle of ModelLedger.")
    parser.add_argument("bundle", nargs="?", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--key", help="the log's public key from another source: NAME+ID+KEY or a file")
    options = parser.parse_args(arguments)
    key = options.key
    if key and Path(key).is_file():
        key = Path(key).read_text(encoding="utf-8")
    try:
        keys = key.split() if key else ()
        proof = check_folder(options.bundle, keys) if options.bundle.is_dir() else check_zip(options.bundle, keys)
    except Refused as refusal:
        print(_printable(f"REFUSED. {refusal}."), file=sys.stderr)
        return 1
    print(proof.verdict)
    print("Proven:" if proof.signer_known else "Proven about the holder of the key in the bundle:")
    print("\n".join(_printable(f"- {line}") for line in proof.proved))
    print("Not proven:")
    print("\n".join(_printable(f"- {line}") for line in proof.not_proved))
    return 0 if proof.signer_known else SIGNER_UNKNOWN


if __name__ == "__main__":
    sys.exit(main())
