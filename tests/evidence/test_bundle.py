"""Dossiers and bundles: one state, one file; texts stay texts; what is missing is said; tampering is named."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.bootstrap import open_stores
from core.entities import Actor, ModelVersionKey, Role, Severity, Stage
from core.errors import AuditBroken, BadBundle, Forbidden, ModelVersionNotFound
from core.features.evidence import bundle_check
from core.features.evidence.bundle_check import Refused, check_folder, check_zip
from core.features.evidence.collect import collect_evidence
from core.features.evidence.dossier import build_dossier
from core.features.evidence.export_evidence import export_bundle, export_dossier, verify_bundle
from core.features.evidence.render import render_html, render_pdf
from core.features.evidence.sign_head import public_key, sign_head
from core.features.monitoring.findings import close_finding, inspect_registry, open_finding
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import request_promotion
from core.features.scoring.score import score
from core.features.stores import Stores
from core.features.training.reproduce import reproduce
from core.settings import load_settings
from tests.evidence.by_hand import by_hand

EVIL = 'better <script>alert(1)</script> #eval("1") *bold* [l](http://a.b) $x$ \u202egnp =1+1 中 😀'
FIRST = ModelVersionKey(model="iris_classifier", version=1)
KEY = ModelVersionKey(model="iris_classifier", version=3)


@pytest.fixture(scope="session")
def decided_home(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 served, version 3 replaced it; each scored 100 rows."""
    home = tmp_path_factory.mktemp("decided") / "home"
    shutil.copytree(sample_home, home)
    stores = open_stores(load_settings(home=home))
    scientist = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}))
    manager = Actor(name="manager", roles=frozenset({Role.MANAGER}))
    for number in (1, 3):
        request = request_promotion(
            stores, scientist, model="iris_classifier", version=number, to=Stage.PRODUCTION, reason=EVIL
        )
        approve(stores, manager, request.id, reason="The numbers hold.")
        score(stores, scientist, model="iris_classifier", table="iris_training_data", version=1)
    return home


@pytest.fixture
def decided(home: Path, decided_home: Path) -> Stores:
    """A copy of the test's own."""
    shutil.copytree(decided_home, home)
    return open_stores(load_settings(home=home))


@pytest.fixture
def bundle(decided: Stores, auditor: Actor, tmp_path: Path) -> Path:
    file = tmp_path / "bundle.zip"
    file.write_bytes(export_bundle(decided, auditor, KEY).data)
    return file


@pytest.fixture(scope="session")
def decided_bundle(decided_home: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    home = tmp_path_factory.mktemp("bundled") / "home"
    shutil.copytree(decided_home, home)
    auditor = Actor(name="auditor", roles=frozenset({Role.AUDITOR}))
    return export_bundle(open_stores(load_settings(home=home)), auditor, KEY).data


class _Page(HTMLParser):
    """What a browser makes of it: tags, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def rows(stores: Stores, actor: Actor, title: str, key: ModelVersionKey = KEY) -> tuple[tuple[str, ...], ...]:
    dossier = build_dossier(collect_evidence(stores, actor, key))
    return next(section.rows for section in dossier.sections if section.title == title)


def repacked(bundle: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The bundle with some of its files changed, packed again."""
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    made = bundle.with_name("changed.zip")
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made


def listed_again(files: dict[str, bytes]) -> None:
    """A manifest that fits the changed files, as somebody would write it who knows the format but has no key."""
    manifest = json.loads(files["manifest.json"])
    manifest["files"] = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in files.items()
        if name not in ("manifest.json", "manifest.note")
    }
    files["manifest.json"] = json.dumps(manifest).encode()


def test_a_dossier_made_twice_is_the_same_to_the_byte(decided: Stores, auditor: Actor) -> None:
    first = export_dossier(decided, auditor, KEY, as_="pdf")
    second = export_dossier(decided, auditor, KEY, as_="pdf")
    assert first.data == second.data
    assert first.data.startswith(b"%PDF-")
    assert b"/StructTreeRoot" in first.data
    assert (
        export_dossier(decided, auditor, KEY, as_="html").data == export_dossier(decided, auditor, KEY, as_="html").data
    )


def test_a_bundle_made_twice_is_the_same_to_the_byte(decided: Stores, auditor: Actor) -> None:
    assert export_bundle(decided, auditor, KEY).data == export_bundle(decided, auditor, KEY).data


def test_texts_of_people_stay_texts(decided: Stores, auditor: Actor) -> None:
    page = _Page(render_html(build_dossier(collect_evidence(decided, auditor, KEY))))
    assert "script" not in page.tags
    assert "a" not in page.tags
    assert "better <script>alert(1)</script>" in page.text
    assert "\u202e" not in page.text
    assert "‹U+202E›" in page.text
    assert "中" in page.text


def test_letters_that_the_embedded_fonts_lack_do_not_stop_the_pdf(decided: Stores, auditor: Actor) -> None:
    assert len(render_pdf(build_dossier(collect_evidence(decided, auditor, KEY)))) > 10_000


def test_data_is_shown_with_its_hash_then_and_now(decided: Stores, auditor: Actor) -> None:
    facts = dict(rows(decided, auditor, "Data: iris_training_data@2"))  # type: ignore[arg-type]
    assert facts["Rows"] == "150"
    assert facts["SHA-256 of the rows, at training"] == facts["SHA-256 of the rows, now"]
    assert facts["Verdict"] == "the rows are those of the training"
    assert ("species", "string", "yes") in rows(decided, auditor, "Schema of iris_training_data@2")


def test_kpis_are_compared_with_the_production_they_replaced(decided: Stores, auditor: Actor) -> None:
    replaced = decided.runs.get(decided.models.version(FIRST).run_id or "").metrics
    own = decided.runs.get(decided.models.version(KEY).run_id or "").metrics
    found = {name: (value, other, word) for name, value, other, word in rows(decided, auditor, "KPIs")}
    assert found["f1"] == (f"{own['f1']:.6g}", f"{replaced['f1']:.6g}", "better")
    assert found["log_loss"][2] == "better"  # lower is better
    assert own["log_loss"] < replaced["log_loss"]


def test_decisions_gates_and_predictions_are_in_it(decided: Stores, auditor: Actor) -> None:
    (decision,) = (row for row in rows(decided, auditor, "Decisions") if "iris_classifier/3" in row[1])
    assert decision[2] == "approved"
    assert decision[4].startswith("manager, ")
    assert decision[4].endswith("The numbers hold.")
    gates = rows(decided, auditor, "Gates")
    assert {row[4] for row in gates} == {"yes"}
    assert {row[1].partition(",")[0] for row in gates} == {"at the request", "at the decision"}
    (batch,) = rows(decided, auditor, "Predictions")
    assert batch[1:4] == ("iris_training_data@1", "predictions@1", "100")


def test_what_is_missing_is_said_to_be_missing(decided: Stores, auditor: Actor) -> None:
    dossier = build_dossier(collect_evidence(decided, auditor, KEY))
    purpose = next(section for section in dossier.sections if section.title == "Purpose")
    assert purpose.paragraphs == ("No purpose is recorded: the model has no description.",)
    points = {row[0]: row for row in rows(decided, auditor, "Coverage of Annex IV of the EU AI Act")}
    assert list(points) == [
        *(f"1({letter})" for letter in "abcdefgh"),
        *(f"2({letter})" for letter in "abcdefgh"),
        *"3456789",
    ]
    assert points["5"][2] == "missing"
    assert "purpose" in points["1(a)"][4]
    assert points["2(d)"][2:4] == ("partly", "Data")


def test_open_findings_stand_in_it_with_owner_and_due_date(decided: Stores, auditor: Actor, manager: Actor) -> None:
    decided.runs.log(str(decided.models.version(KEY).run_id), metrics={"f1": 0.5})
    inspect_registry(decided, auditor)
    own = open_finding(
        decided, auditor, subject="iris_training_data@2", detail="Who labelled these?", severity=Severity.LOW
    )
    open_finding(decided, auditor, subject="diabetes_progression/1", detail="Elsewhere.", severity=Severity.LOW)
    found = {row[0]: row for row in rows(decided, auditor, "Open findings")}
    assert set(found) == {"metric changed", "opened by hand"}
    assert found["opened by hand"][1:4] == ("iris_training_data@2", "low", f"manager, {own.due:%Y-%m-%d}")
    assert found["metric changed"][1:3] == ("iris_classifier/3", "high")
    for finding in decided.findings.list():
        close_finding(decided, manager, finding.id, reason="Looked into.")
    said = {section.title: section for section in build_dossier(collect_evidence(decided, auditor, KEY)).sections}
    assert said["Open findings"].rows == ()


def test_what_came_out_when_it_was_made_again_stands_in_it(decided: Stores, auditor: Actor) -> None:
    said = {section.title: section for section in build_dossier(collect_evidence(decided, auditor, KEY)).sections}
    assert said["Reproductions"].paragraphs == ("This version was never reproduced.",)
    reproduce(decided, auditor, KEY)
    (row,) = rows(decided, auditor, "Reproductions")
    assert row[1:3] == ("auditor", "reproduced")


def test_a_version_that_nobody_decided_on_has_its_dossier_too(sample_stores: Stores, auditor: Actor) -> None:
    dossier = build_dossier(collect_evidence(sample_stores, auditor, KEY))
    said = {section.title: section.paragraphs for section in dossier.sections}
    assert said["Decisions"] == ("No stage was ever requested.",)
    assert said["Predictions"] == ("No prediction of this version is recorded.",)
    assert export_dossier(sample_stores, auditor, KEY, as_="pdf").data


def test_lost_data_is_told_in_the_dossier(decided: Stores, auditor: Actor) -> None:
    table = Path(decided.catalog.resolve("iris_training_data").uri)
    for file in table.glob("*.parquet"):
        file.unlink()
    facts = dict(rows(decided, auditor, "Data: iris_training_data@2"))  # type: ignore[arg-type]
    assert facts["Readable"].startswith("files vacuumed")
    assert facts["SHA-256 of the rows, now"] == "not recorded"
    assert "cannot be checked" in facts["Verdict"]


def test_exports_are_recorded_with_their_hash_and_refused_without_the_right(
    decided: Stores, auditor: Actor, scientist: Actor
) -> None:
    made = export_bundle(decided, auditor, KEY)
    newest = decided.audit.search(action="audit.export", limit=1)[0]
    assert (newest.actor, newest.subject, newest.outcome.value) == ("auditor", str(KEY), "success")
    assert newest.after["sha256"] == hashlib.sha256(made.data).hexdigest()
    with pytest.raises(Forbidden):
        export_bundle(decided, scientist, KEY)
    assert decided.audit.search(limit=1)[0].outcome.value == "denied"


def test_a_version_that_does_not_exist_has_no_dossier(sample_stores: Stores, auditor: Actor) -> None:
    with pytest.raises(ModelVersionNotFound):
        export_dossier(sample_stores, auditor, ModelVersionKey(model="iris_classifier", version=99), as_="pdf")


def test_a_bundle_proves_itself_with_the_standard_library_and_cryptography_alone(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
    # -I: neither this checkout nor any setting of this machine is on the path.
    done = subprocess.run(
        [sys.executable, "-I", str(folder / "verify.py")], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout.splitlines()[0].startswith("SIGNER UNKNOWN.")
    known = subprocess.run(
        [sys.executable, "-I", str(folder / "verify.py"), "--key", str(folder / "key.txt")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert known.returncode == 0, known.stderr
    assert known.stdout.splitlines()[0] == "The bundle is valid."
    source = (folder / "verify.py").read_text()
    assert "import core" not in source
    assert "from core" not in source
    (folder / "decisions.json").write_text("[]")
    done = subprocess.run(
        [sys.executable, "-I", str(folder / "verify.py")], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 1
    assert "decisions.json" in done.stderr


def test_a_bundle_holds_every_event_about_the_version_and_mlflows_metadata(bundle: Path, decided: Stores) -> None:
    with zipfile.ZipFile(bundle) as archive:
        names = set(archive.namelist())
        told = [json.loads(line) for line in archive.read("events.jsonl").decode().split("\n") if line]
        run = json.loads(archive.read("mlflow/run.json"))
        artifact = json.loads(archive.read("mlflow/artifact_files.json"))
    assert {"mlflow/artifact/MLmodel", "mlflow/artifact/requirements.txt", "verify.py", "dossier.pdf"} <= names
    assert run["run_id"] == decided.models.version(KEY).run_id
    assert {item["path"] for item in artifact} >= {"MLmodel", "model.skops"}
    about = {event.sequence for event in decided.audit.search(subject=str(KEY), limit=None)}
    exports = {event.sequence for event in decided.audit.search(action="audit.export", limit=None)}
    assert about - exports <= {json.loads(one["text"])["sequence"] for one in told}


def test_a_bundle_is_checked_against_a_key_that_was_got_elsewhere(
    bundle: Path, decided: Stores, auditor: Actor, tmp_path: Path
) -> None:
    own = str(public_key(decided, auditor))
    assert check_zip(bundle, (own,)).signer_known
    other = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    with pytest.raises(Refused, match=r"key\.txt: the bundle is signed with an unknown key"):
        check_zip(bundle, (other,))
    proof = verify_bundle(decided, auditor, bundle, keys=(other,))
    assert (proof.signer_known, proof.key) == (True, own)


def signed_anew(name: str, change: Callable[[dict[str, bytes]], None]) -> Callable[[dict[str, bytes]], None]:
    """What somebody does who has no key of the log but knows the format: everything again, with a key of their own."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    number = hashlib.sha256(f"{name}\n".encode() + b"\x01" + public).digest()[:4]

    def note(text: str) -> bytes:
        signature = base64.b64encode(number + private.sign(text.encode())).decode()
        return f"{text}\n\N{EM DASH} {name} {signature}\n".encode()

    def forge(files: dict[str, bytes]) -> None:
        change(files)
        encoded = base64.b64encode(b"\x01" + public).decode()
        files["key.txt"] = f"{name}+{number.hex()}+{encoded}\n".encode()
        files["head.txt"] = note(files["head.txt"].decode().rpartition("\n\n")[0] + "\n")
        listed_again(files)
        digest = base64.b64encode(hashlib.sha256(files["manifest.json"]).digest()).decode()
        files["manifest.note"] = note(f"{name}\nmodelledger bundle manifest\n{digest}\n")

    return forge


def test_a_bundle_signed_anew_with_a_fresh_key_is_refused_here_and_unknown_elsewhere(
    bundle: Path, decided: Stores, auditor: Actor
) -> None:
    forged = repacked(bundle, signed_anew(decided.heads.key.name, lambda files: files.update({"data.json": b"[]\n"})))
    with pytest.raises(BadBundle, match=r"key\.txt: the bundle is signed with an unknown key"):
        verify_bundle(decided, auditor, forged)
    done = subprocess.run(
        [sys.executable, "-I", bundle_check.__file__, str(forged)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert done.stdout.splitlines()[0].startswith("SIGNER UNKNOWN.")
    assert "The bundle is valid" not in done.stdout
    known = [sys.executable, "-I", bundle_check.__file__, str(forged), "--key", str(decided.heads.key)]
    done = subprocess.run(known, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "REFUSED. key.txt" in done.stderr


@pytest.mark.parametrize("planted", ["json.py", "__future__.py", "argparse.py", "cryptography/__init__.py"])
def test_what_somebody_put_beside_verify_is_not_run_but_refused_by_name(
    decided_bundle: bytes, tmp_path: Path, planted: str
) -> None:
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(io.BytesIO(decided_bundle)) as archive:
        archive.extractall(folder)
    (folder / planted).parent.mkdir(exist_ok=True)
    (folder / planted).write_text("print('The bundle is valid.')\nraise SystemExit(0)\n")
    done = subprocess.run([sys.executable, "verify.py"], capture_output=True, text=True, cwd=folder, check=False)
    assert "holds" not in done.stdout
    assert done.returncode == 1
    assert f"REFUSED. {planted}: it was added" in done.stderr


@pytest.mark.parametrize("planted", ["__pycache__/json.cpython-311.pyc", "mlflow/__pycache__/x.txt", ".hidden"])
def test_a_file_that_is_not_of_the_bundle_is_refused_wherever_it_hides(
    decided_bundle: bytes, tmp_path: Path, planted: str
) -> None:
    with zipfile.ZipFile(io.BytesIO(decided_bundle)) as archive:
        archive.extractall(tmp_path)
    (tmp_path / planted).parent.mkdir(exist_ok=True)
    (tmp_path / planted).write_bytes(b"x")
    with pytest.raises(Refused, match=re.escape(f"{planted}: it was added")):
        check_folder(tmp_path)
    (tmp_path / planted).unlink()
    (tmp_path / planted).symlink_to(tmp_path / "key.txt")
    with pytest.raises(Refused, match=re.escape(f"{planted}: it is not a regular file")):
        check_folder(tmp_path)


def test_the_bundles_own_words_say_how_it_is_checked_safely(decided_bundle: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(decided_bundle)) as archive:
        told = archive.read("README.txt").decode()
    assert "python -I verify.py --key" in told
    assert "exit code 3" in told.replace("\n", " ")


def test_every_altered_file_is_refused_by_its_name(bundle: Path, decided: Stores, auditor: Actor) -> None:
    with zipfile.ZipFile(bundle) as archive:
        names = archive.namelist()
    for name in names:

        def alter(files: dict[str, bytes], name: str = name) -> None:
            files[name] = files[name][:-2] + bytes([files[name][-2] ^ 1]) + files[name][-1:]

        with pytest.raises(BadBundle) as refused:
            verify_bundle(decided, auditor, repacked(bundle, alter))
        assert name in str(refused.value)


def test_a_removed_or_added_file_is_refused_by_its_name(bundle: Path, decided: Stores, auditor: Actor) -> None:
    with pytest.raises(BadBundle, match=r"data\.json: it is missing"):
        verify_bundle(decided, auditor, repacked(bundle, lambda files: files.pop("data.json") and None))
    with pytest.raises(BadBundle, match=r"extra\.txt: it was added"):
        verify_bundle(decided, auditor, repacked(bundle, lambda files: files.update({"extra.txt": b"x"})))


def test_a_manifest_written_anew_without_the_key_is_refused(bundle: Path, decided: Stores, auditor: Actor) -> None:
    def forge(files: dict[str, bytes]) -> None:
        files["decisions.json"] = b"[]"
        listed_again(files)

    with pytest.raises(BadBundle, match=r"manifest\.json: it is not the signed manifest"):
        verify_bundle(decided, auditor, repacked(bundle, forge))


def test_an_event_that_was_altered_with_its_hash_has_no_proof(bundle: Path, decided: Stores, auditor: Actor) -> None:
    """Even the holder of the key cannot prove an event that is not in the log whose head was signed."""

    def forge(files: dict[str, bytes]) -> None:
        lines = [json.loads(line) for line in files["events.jsonl"].decode().split("\n") if line]
        lines[0]["text"] = lines[0]["text"].replace("scientist", "somebody")
        lines[0]["hash"] = hashlib.sha256(lines[0]["text"].encode()).hexdigest()
        files["events.jsonl"] = "".join(json.dumps(line) + "\n" for line in lines).encode()
        listed_again(files)
        digest = base64.b64encode(hashlib.sha256(files["manifest.json"]).digest()).decode()
        name = decided.heads.key.name
        files["manifest.note"] = decided.heads.sign(f"{name}\nmodelledger bundle manifest\n{digest}\n").encode()

    with pytest.raises(BadBundle, match=r"events\.jsonl: the proof of event \d+ does not show"):
        verify_bundle(decided, auditor, repacked(bundle, forge))


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x03\x04 broken"])
def test_what_is_no_bundle_is_refused(sample_stores: Stores, auditor: Actor, tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "x.zip"
    file.write_bytes(data)
    with pytest.raises(BadBundle, match=r"x\.zip"):
        verify_bundle(sample_stores, auditor, file)


def test_a_zip_of_something_else_is_refused(sample_stores: Stores, auditor: Actor, tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", "a")
    (tmp_path / "x.zip").write_bytes(out.getvalue())
    with pytest.raises(BadBundle, match=r"manifest\.json: it is missing"):
        verify_bundle(sample_stores, auditor, tmp_path / "x.zip")


def test_a_log_that_was_rewritten_gives_no_evidence(decided: Stores, auditor: Actor) -> None:
    sign_head(decided, auditor)
    number = decided.audit.search(subject=str(FIRST), limit=1)[0].sequence
    by_hand(decided, f"UPDATE events SET reason = 'other' WHERE sequence = {number}")
    with pytest.raises(AuditBroken, match="altered"):
        export_bundle(decided, auditor, FIRST)


HOSTILE = (
    b"",
    b"\xff\xfe",
    b"null",
    b"[]",
    b"[" * 100_000,
    b'{"format": "modelledger-bundle/1", "subject": "x", "files": []}',
    b'{"format": "modelledger-bundle/1", "subject": "x", "files": {"key.txt": 1}}',
    b'{"text": "[]", "hash": "", "proof": []}',
    b'{"text": "{\\"sequence\\": 1}", "hash": "", "proof": [1]}',
    b"a\n\n\xe2\x80\x94 a !!\n",
    b"\n\n\n",
)


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("name", ["manifest.json", "manifest.note", "events.jsonl", "head.txt", "key.txt"])
def test_hostile_content_is_refused_and_never_a_crash(
    decided_bundle: bytes, tmp_path: Path, name: str, content: bytes
) -> None:
    file = tmp_path / "bundle.zip"
    file.write_bytes(decided_bundle)

    def replace(files: dict[str, bytes]) -> None:
        files[name] = content
        if name != "manifest.json":
            listed_again(files)

    with pytest.raises(Refused):
        check_zip(repacked(file, replace))
