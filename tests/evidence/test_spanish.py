"""The dossier in Spanish: every text that it can show is translated, and what was stored in English is recognised."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from string import Formatter

import pytest

from core import texts
from core.bootstrap import open_stores
from core.cli import main
from core.commands.options import get_stores
from core.entities import (
    Actor,
    Difference,
    Finding,
    GateResult,
    ModelVersionKey,
    Role,
    Severity,
    Stage,
)
from core.errors import BadParameter
from core.features.evidence import recorded_texts
from core.features.evidence.bundle_check import check_zip
from core.features.evidence.collect import ModelEvidence, collect_evidence
from core.features.evidence.dossier import Dossier, build_dossier
from core.features.evidence.export_evidence import export_bundle, export_dossier
from core.features.evidence.recorded_texts import translate_recorded
from core.features.evidence.render import render_html, render_pdf
from core.features.promotion.decide import approve, reject
from core.features.promotion.request_promotion import request_promotion
from core.features.promotion.roll_back import roll_back
from core.features.stores import Stores
from core.settings import load_settings
from core.texts import read_catalogue
from docs.extract_texts import extract

KEY = ModelVersionKey(model="iris_classifier", version=3)
# The modules whose texts a dossier can show: its own, and those whose sentences it quotes.
EVIDENCE = "core/features/evidence/"
QUOTED = (
    "core/delta/engine.py",
    "core/delta/delta_rs/engine.py",
    "core/delta/log/",
    "core/features/lineage/claims.py",
    "core/features/lineage/identity.py",
    "core/features/lineage/provenance.py",
    "core/features/lineage/version_data.py",
    "core/features/monitoring/data_watch.py",
    "core/features/monitoring/reconcile.py",
    "core/features/monitoring/registry_watch.py",
    "core/features/promotion/apply_decision.py",
    "core/features/promotion/evaluate_gates.py",
    "core/features/promotion/fair_gates.py",
    "core/features/promotion/gates.py",
    "core/features/promotion/review.py",
    "core/features/promotion/rollback_checks.py",
    *(f"core/features/runs/{name}.py" for name in ("models", "pictures", "runs", "version_metrics")),
    "core/features/training/reproduce.py",
    "core/learning/safety/",
)
# These speak to the person who exports or searches; the dossier does not show them.
NOT_SHOWN = tuple(f"{EVIDENCE}{name}.py" for name in ("export_evidence", "search_events", "sign_head", "bundle_check"))


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def shown_templates() -> Iterator[str | tuple[str, ...]]:
    for message in extract():
        paths = [path for path, _ in message.locations if path not in NOT_SHOWN]
        if message.id and any(path.startswith((EVIDENCE, *QUOTED)) for path in paths):
            yield message.id


def test_every_text_of_the_dossier_is_translated_with_the_same_values() -> None:
    spanish = read_catalogue("es")
    wrong = []
    for template in shown_templates():
        singular = template if isinstance(template, str) else template[0]
        message = spanish.get(singular)
        strings = () if message is None else (message.string,) if isinstance(message.string, str) else message.string
        if not strings or not all(strings) or message is None or message.fuzzy:
            wrong.append(f"not translated: {singular}")
        elif any(fields(string) - {"n"} != fields(singular) - {"n"} for string in strings):
            wrong.append(f"other placeholders: {singular}")
    assert not wrong


def test_catalogue_has_no_text_that_the_source_lost() -> None:
    source = extract()
    assert [message.id for message in read_catalogue("es") if message.id and message.id not in source] == []


def test_spanish_keeps_the_formats_of_numbers_and_times() -> None:
    """The same number reads the same in both languages and in the JSON beside the dossier."""
    wrong = []
    for message in read_catalogue("es"):
        if isinstance(message.id, str) and message.id:
            formats = [{(n, s, c) for _, n, s, c in Formatter().parse(t) if n} for t in (message.id, message.string)]
            if formats[0] != formats[1]:
                wrong.append(message.id)
    assert not wrong


@pytest.fixture(scope="module")
def home_with_history(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Approved, rejected and rolled back versions."""
    home = tmp_path_factory.mktemp("history") / "home"
    shutil.copytree(sample_home, home)
    stores = open_stores(load_settings(home=home, database_url=None))
    scientist = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}))
    manager = Actor(name="manager", roles=frozenset({Role.MANAGER}))
    for model, number, decide in (
        ("iris_classifier", 1, approve),
        ("iris_classifier", 3, approve),
        ("diabetes_progression", 1, approve),
        ("diabetes_progression", 2, reject),
    ):
        asked = request_promotion(stores, scientist, model=model, version=number, to=Stage.PRODUCTION, reason="Quiero.")
        decide(stores, manager, asked.id, reason="De acuerdo.")
    roll_back(stores, manager, "iris_classifier", reason="Precios.")
    return home


@pytest.fixture(scope="module")
def history(home_with_history: Path) -> Stores:
    return open_stores(load_settings(home=home_with_history, database_url=None))


AUDITOR = Actor(name="auditor", roles=frozenset({Role.AUDITOR}))


def all_texts(dossier: Dossier) -> list[str]:
    found = [dossier.title]
    for section in dossier.sections:
        cells = [cell for row in section.rows for cell in row]
        words = [word for p in section.pictures for word in (p.alt, *re.findall(r"<text[^>]*>([^<]*)</text>", p.svg))]
        found += [section.title, *section.paragraphs, *section.points, *section.header, *cells, *words]
    return found


@pytest.fixture(scope="module")
def evidence(history: Stores) -> list[ModelEvidence]:
    keys = [
        *(ModelVersionKey(model="iris_classifier", version=number) for number in (1, 2, 3)),
        ModelVersionKey(model="diabetes_progression", version=2),
    ]
    return [collect_evidence(history, AUDITOR, key) for key in keys]


def test_no_english_template_is_left_in_a_spanish_dossier(evidence: list[ModelEvidence]) -> None:
    english = {
        template: message.string
        for message in read_catalogue("es")
        if message.id
        for template in ([message.id] if isinstance(message.id, str) else message.id)
        if " " in template and not fields(template) and message.string != template
    }
    # The longest fixed part of each template with values.
    parts = {max((fixed for fixed, _, _, _ in Formatter().parse(t)), key=len).strip() for t in all_templates()}
    long_parts = {part for part in parts if len(part) > 12 and " " in part}
    for item in evidence:
        said = "\n".join(all_texts(build_dossier(item, "es")))
        assert [template for template in english if template in said] == []
        assert [part for part in long_parts if part in said] == []
        assert "(registrado en inglés)" not in said


def all_templates() -> Iterator[str]:
    for message in read_catalogue("es"):
        if message.id:
            for template in [message.id] if isinstance(message.id, str) else message.id:
                if fields(template):
                    yield template


def test_gates_and_findings_that_were_stored_in_english_are_recognised(evidence: list[ModelEvidence]) -> None:
    (request,) = evidence[-1].requests
    detail = "rmse is 56.1895, and 53.0027 for diabetes_progression/1; lower is better."
    gate = GateResult(name="rmse not worse than Production", passed=False, detail=detail)
    rejected = replace(evidence[-1], requests=(replace(request, decision_gates=(gate,)),))
    missing = next(s for s in build_dossier(rejected, "es").sections if s.title == "Lo que falta")
    assert (
        "El control «rmse no peor que en Producción» no se superó: rmse es 56.1895, y 53.0027 para "
        "diabetes_progression/1; menor es mejor."
    ) in missing.points


@pytest.mark.parametrize(
    ("stored", "spanish"),
    [
        ("data still readable", "datos todavía legibles"),
        ("x/3 moves from None to Production.", "x/3 pasa de Ninguna a Producción."),
        (
            "f1 is 0.97, and 0.87 for x/1; higher is better (tolerance 0.01).",
            "f1 es 0.97, y 0.87 para x/1; mayor es mejor (tolerancia 0.01).",
        ),
        ("150 rows, and 50 for x/1; 10% fewer are allowed.", "150 filas, y 50 para x/1; se permite un 10% menos."),
        (
            "x/3 records no run, so its training is unknown. Saved as skops.",
            "x/3 no registra ninguna ejecución, por lo que se desconoce su entrenamiento. Guardado como skops.",
        ),
    ],
)
def test_recorded_sentence_is_said_in_spanish(stored: str, spanish: str) -> None:
    assert translate_recorded(stored, "es") == spanish


@pytest.mark.parametrize("stored", ["Ask Ana about the labels.", "x" * 5_000, "{broken", "a\nb"])
def test_text_of_no_template_is_not_guessed(stored: str) -> None:
    assert translate_recorded(stored, "es") is None


def test_value_of_one_word_is_a_name_and_stays() -> None:
    """A table may be called "training" or "open"."""
    assert (
        translate_recorded("The rows of training are not readable.", "es") == "Las filas de training no son legibles."
    )


def test_unknown_recorded_text_says_that_it_is_english(evidence: list[ModelEvidence]) -> None:
    (request,) = evidence[-1].requests
    gate = GateResult(name="gate of a plug-in", passed=False, detail="Seven is too few.")
    item = replace(evidence[-1], requests=(replace(request, gates=(gate,), decision_gates=(gate,)),))
    said = "\n".join(all_texts(build_dossier(item, "es")))
    assert "gate of a plug-in (registrado en inglés)" in said
    assert "Seven is too few. (registrado en inglés)" in said
    assert "(recorded in English)" not in "\n".join(all_texts(build_dossier(item, "en")))


def test_findings_are_translated_but_a_persons_words_are_not(evidence: list[ModelEvidence]) -> None:
    request = evidence[0].requests[0]
    facts = {"subject": str(KEY), "severity": Severity.HIGH, "owner": "ana", "due": request.requested_at}
    times = {"opened_by": "ana", "opened_at": request.requested_at, "last_seen": request.requested_at}
    by_hand = Finding(
        id="1", kind="opened by hand", expected="", found="", detail="data still readable", **facts, **times
    )  # type: ignore[arg-type]
    seen = Difference(
        kind="metric changed",
        subject=str(KEY),
        expected="f1 0.9",
        found="no f1",
        detail="Run r1 shows another value than at the end of its training or at its first inspection.",
    )
    item = replace(evidence[0], findings=(by_hand,), differences=(seen,))
    rows = next(s.rows for s in build_dossier(item, "es").sections if s.title == "Hallazgos abiertos")
    assert rows[0][0] == "abierto a mano"
    assert rows[0][-1] == "data still readable"
    assert rows[1][0] == "métrica modificada"
    assert rows[1][4:6] == ("f1 0.9", "sin f1")
    assert rows[1][-1].startswith("La ejecución r1 muestra un valor distinto")


def test_both_forms_are_spanish_and_say_so(evidence: list[ModelEvidence]) -> None:
    dossier = build_dossier(evidence[2], "es")
    page = render_html(dossier)
    assert '<html lang="es">' in page
    assert "<h1>Expediente de iris_classifier/3</h1>" in page
    assert "Estado a " in page
    assert "<h2>Anexos</h2>" in page
    pdf = render_pdf(dossier)
    assert b"/Lang (es)" in pdf or b"(es)" in pdf
    assert pdf == render_pdf(build_dossier(evidence[2], "es"))


def test_bundle_names_the_language_in_its_manifest_and_verifies(history: Stores, tmp_path: Path) -> None:
    exported = export_bundle(history, AUDITOR, KEY, language="es")
    with zipfile.ZipFile(BytesIO(exported.data)) as archive:
        assert json.loads(archive.read("manifest.json"))["language"] == "es"
        assert "Expediente de iris_classifier/3" in archive.read("dossier.html").decode()
    file = tmp_path / "b.zip"
    file.write_bytes(exported.data)
    assert check_zip(file, (str(history.heads.key),)).signer_known
    newest = history.audit.search(action="audit.export", limit=1)[0]
    assert newest.after["sha256"] == exported.sha256


def test_unknown_language_is_refused(history: Stores) -> None:
    with pytest.raises(BadParameter, match="There is no dossier in the language 'xx'; choose one of en, es"):
        export_dossier(history, AUDITOR, KEY, as_="html", language="xx")


def test_language_is_chosen_by_command(
    sample_stores: Stores, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    get_stores.cache_clear()
    file = tmp_path / "d.html"
    assert main(["dossier", str(KEY), str(file), "--language", "es"]) == 0
    assert "Expediente de iris_classifier/3" in file.read_text(encoding="utf-8")
    assert main(["bundle", str(KEY), str(tmp_path / "b.zip"), "--language", "xx"]) == 1
    assert "no dossier in the language 'xx'" in capsys.readouterr().err
    get_stores.cache_clear()


def test_pages_use_only_complete_catalogues() -> None:
    assert "es" in texts.languages()
    assert "es" not in texts.COMPLETE_LANGUAGES
    assert recorded_texts.translate_recorded("anything", "en") == "anything"
