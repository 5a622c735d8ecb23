#!/usr/bin/env python3
"""Verifies an evidence bundle. Needs Python 3.11 and the package cryptography, nothing of ModelLedger.

    python -I verify.py --key NAME+ID+KEY             the folder in which this file lies
    python -I verify.py BUNDLE.zip --key NAME+ID+KEY  a bundle as it was handed over

NAME+ID+KEY is the log's public key, got from elsewhere, or a file that holds it. Says in words what it proved.
Exit code 0: everything holds and is signed with that key. 1: refused, with the file's name. 2: wrong usage.
3: everything fits together, but no key was named, so anybody may have signed it.
"""

import os  # frozen into Python, as sys is: neither is searched for; __future__ would be
import sys

if __name__ == "__main__":
    # A json.py that somebody put beside this file would be run in place of Python's own: its folder is not searched.
    _OWN = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [place for place in sys.path if os.path.realpath(place or os.curdir) != _OWN]

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
# Exit code where everything fits together, but only with the key that came with it.
SIGNER_UNKNOWN = 3
_UNLISTED = {MANIFEST, SIGNED_MANIFEST}
_LARGEST_BYTES = 500_000_000
_LARGEST_BUNDLE_BYTES = 1_000_000_000
_DASH = "\N{EM DASH} "


class Refused(Exception):
    """The bundle does not prove what it says; *file* names the file in it."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(f"{file}: {why}")
        self.file = file


@dataclass(frozen=True)
class Proof:
    """What was proven, in sentences, and what was not; and the key that signed it, with its SHA-256.

    *signer_known*: the key is one that was named or trusted, not only the one that the bundle brought along.
    """

    proved: tuple[str, ...]
    not_proved: tuple[str, ...]
    signer_known: bool
    key: str
    fingerprint: str

    @property
    def verdict(self) -> str:
        """The first line: what all of it comes to."""
        if self.signer_known:
            return "The bundle holds."
        return (
            "SIGNER UNKNOWN. The files fit together, but anybody may have signed them: name the log's public key, got "
            "from elsewhere."
        )


Keys = Sequence[str]
Read = Callable[[str], bytes]


def check_zip(path: Path, keys: Keys = ()) -> Proof:
    """Checks a bundle as one file against one of *keys* (NAME+ID+KEY). Raises Refused."""
    try:
        with zipfile.ZipFile(path) as archive:
            listed = [item for item in archive.infolist() if not item.is_dir()]
            sizes = {item.filename: item.file_size for item in listed}
            if len(sizes) != len(listed):
                raise Refused(path.name, "it holds two files of one name")
            for name, size in sizes.items():
                if size > _LARGEST_BYTES:
                    raise Refused(name, "it is larger than any file of a bundle")
            if sum(sizes.values()) > _LARGEST_BUNDLE_BYTES:
                raise Refused(path.name, "it unpacks to more than any bundle holds")

            def read(name: str) -> bytes:
                try:
                    return archive.read(name)
                except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
                    raise Refused(name, f"it cannot be read: the archive is damaged there ({error})") from error

            return check_files(read, set(sizes), keys)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise Refused(path.name, f"it is no bundle that can be read ({error})") from error


def check_folder(folder: Path, keys: Keys = ()) -> Proof:
    """Checks a bundle that was unpacked: it holds its files and nothing else. Raises Refused."""
    names = set()
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise Refused(name, "it is no plain file")
        if path.is_file():
            names.add(name)
    return check_files(lambda name: (folder / name).read_bytes(), names, keys)


def check_files(read: Read, names: set[str], keys: Keys = ()) -> Proof:
    """Checks the files of a bundle, each against the manifest, the manifest and the head against one of *keys*.

    Without *keys* against the key that the bundle brought along, which proves nothing about who signed it.
    """
    manifest = _manifest(read, names)
    key_text = _chosen(_text(read, KEY).strip(), [key.strip() for key in keys])
    name, public = _public_key(key_text)
    digest = base64.b64encode(hashlib.sha256(read(MANIFEST)).digest()).decode()
    signed = _signed_text(_text(read, SIGNED_MANIFEST), SIGNED_MANIFEST, name, public)
    if signed != f"{name}\n{MANIFEST_LINE}\n{digest}\n":
        raise Refused(MANIFEST, "it is not the manifest that was signed")
    head = _signed_text(_text(read, HEAD), HEAD, name, public).split("\n")
    try:
        size, root = int(head[1]), base64.b64decode(head[2], validate=True)
    except (ValueError, IndexError) as error:
        raise Refused(HEAD, "it is no head of a log") from error
    count, first, last = _check_events(_text(read, EVENTS), size, root)
    when = next((line.removeprefix("time ") for line in head[3:] if line.startswith("time ")), "an unknown time")
    fingerprint = hashlib.sha256(public).hexdigest()
    proved = (
        f"All {len(manifest['files'])} files are, byte for byte, those that the holder of the key put into the bundle "
        f"about {manifest['subject']}; none is missing and none was added.",
        f"The head of the log {name} over {size} events, signed {when}, is signed with that key.",
        f"Each of the {count} events in {EVENTS} (numbers {first} to {last}) stands in that log at its number, "
        "unaltered since it was written: its text gives its hash, and the hash leads to the signed root.",
    )
    whose = (
        "Who holds the key: it is one that you named or that this installation trusts; keeping it safe is its owner's."
        if keys
        else "Who signed it: the key came with the bundle, and everybody can make one. Compare its SHA-256 with one "
        f"that you got elsewhere: {fingerprint}"
    )
    return Proof(
        proved,
        (
            whose,
            "That what was written into the log was true when it was written, and that the time of the head is right.",
            "That these are all events about the subject: a log proves what is in it, not what was left out of a copy.",
            "That nothing was written into the log after this head, or changed after it in the log itself: for that, "
            "verify the log against this head.",
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
        known = manifest["format"] == FORMAT and {KEY, HEAD, EVENTS} <= set(files) and bool(manifest["subject"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(MANIFEST, "it is no manifest of a bundle") from error
    if not known:
        raise Refused(MANIFEST, f"it is no manifest of the format {FORMAT}")
    for name in sorted(names - set(files) - _UNLISTED):
        raise Refused(name, "it was added: the manifest does not list it")
    for name, facts in sorted(files.items()):
        if name not in names:
            raise Refused(name, "it is missing")
        content = read(name)
        if (hashlib.sha256(content).hexdigest(), len(content)) != facts:
            raise Refused(name, "it was altered: it is not the file that the manifest lists")
    return {**manifest, "files": files}


def _chosen(brought: str, keys: Keys) -> str:
    """The key to check against: the one that the bundle names, which must be one of *keys* where there are any."""
    if keys and brought not in keys:
        _, public = _public_key(brought)
        raise Refused(
            KEY,
            "the bundle is not signed with a key that is known here, but with one whose SHA-256 is "
            f"{hashlib.sha256(public).hexdigest()}; everybody can make one: name it only where you got it elsewhere",
        )
    return brought


def _text(read: Read, name: str) -> str:
    try:
        return read(name).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(name, "it is no text") from error


def _public_key(text: str) -> tuple[str, bytes]:
    name, _, rest = text.partition("+")
    number, _, encoded = rest.partition("+")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise Refused(KEY, "it is no public key") from error
    if len(raw) != 33 or raw[0] != 1 or _key_id(name, raw[1:]).hex() != number:
        raise Refused(KEY, "it is no public key")
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
            raise Refused(file, "its signature cannot be read") from error
        if line.startswith(_DASH) and signer == name and blob[:4] == wanted:
            try:
                Ed25519PublicKey.from_public_bytes(public).verify(blob[4:], f"{text}\n".encode())
            except InvalidSignature as error:
                raise Refused(
                    file, "its signature does not fit: it was altered, or not signed with this key"
                ) from error
            return f"{text}\n"
    raise Refused(file, "it is not signed with this key")


def _check_events(text: str, size: int, root: bytes) -> tuple[int, int, int]:
    numbers: list[int] = []
    before: tuple[int, str] | None = None
    # Not splitlines(): a reason may hold U+2028, which JSON leaves as it is.
    for place, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        try:
            entry = json.loads(line)
            content, event_hash = str(entry["text"]), str(entry["hash"])
            body = json.loads(content)
            number, previous = int(body["sequence"]), str(body["previous"])
            proof = [bytes.fromhex(one) for one in entry["proof"]]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Refused(EVENTS, f"line {place} is no event with a proof") from error
        if hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest() != event_hash:
            raise Refused(EVENTS, f"event {number} was altered: its text does not give its hash")
        leaf = hashlib.sha256(b"\x00" + bytes.fromhex(event_hash)).digest()
        if _root(leaf, number - 1, size, proof) != root:
            raise Refused(EVENTS, f"event {number} is not proven to stand in the log at its number")
        if before and number == before[0] + 1 and previous != before[1]:
            raise Refused(EVENTS, f"event {number} does not follow event {number - 1}")
        before = (number, event_hash)
        numbers.append(number)
    if not numbers:
        raise Refused(EVENTS, "it holds no event")
    return len(numbers), min(numbers), max(numbers)


def _root(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes | None:
    """The root that an inclusion proof leads to (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < size:
        return None
    place, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return None
        if place & 1 or place == last:
            found = hashlib.sha256(b"\x01" + sibling + found).digest()
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\x01" + found + sibling).digest()
        place, last = place >> 1, last >> 1
    return found if last == 0 else None


def _shown(text: str) -> str:
    """*text* for a terminal: names in a bundle are anybody's, and some characters steer terminals."""
    return "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in text)


def main(arguments: list[str] | None = None) -> int:
    """The command line of verify.py."""
    parser = argparse.ArgumentParser(description="Verifies an evidence bundle of ModelLedger.")
    parser.add_argument("bundle", nargs="?", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--key", help="the log's public key, got from elsewhere: NAME+ID+KEY, or a file that holds it")
    asked = parser.parse_args(arguments)
    key = asked.key
    if key and Path(key).is_file():
        key = Path(key).read_text(encoding="utf-8")
    try:
        keys = key.split() if key else ()
        proof = check_folder(asked.bundle, keys) if asked.bundle.is_dir() else check_zip(asked.bundle, keys)
    except Refused as refusal:
        print(_shown(f"REFUSED. {refusal}"), file=sys.stderr)
        return 1
    print(proof.verdict)
    print("Proven:" if proof.signer_known else "Proven, of whoever holds the key that came with it:")
    print("\n".join(_shown(f"- {line}") for line in proof.proved))
    print("Not proven by this:")
    print("\n".join(_shown(f"- {line}") for line in proof.not_proved))
    return 0 if proof.signer_known else SIGNER_UNKNOWN


if __name__ == "__main__":
    sys.exit(main())
