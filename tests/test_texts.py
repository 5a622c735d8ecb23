"""Every text for people is a literal template in the catalogue, and each language has all of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

from core.texts import COMPLETE_LANGUAGES, LOCALE_DIR
from docs.extract_texts import CATALOGUE, ROOT, TextCall, error_names, extract, rendered, sources, text_calls

# Literals in pages that are no texts of ours: names, formats and examples, which stay in every language.
NOT_TEXTS: dict[str, set[str]] = {
    # Names of colour scales of plotly.
    "pages/_runs/picture_charts.py": {"Blues"},
    "pages/_audit/event_search.py": {"iris_classifier/3", "scientist"},
    "pages/_audit/proof_forms.py": {"NAME+ID+KEY"},
    "pages/_models/compare_versions.py": {"middle left", "middle right"},
    "pages/_models/edit_texts.py": {"Shown"},
    "pages/_models/model_views.py": {"deleted in MLflow"},
    "pages/_models/version_tables.py": {"Rows"},
    "pages/_models/why_moved.py": {"top center"},
    "pages/_promotions/evidence_view.py": {"TestRows"},
    # Where plotly writes the value of a mark.
    "pages/_promotions/kpi_bars.py": {"middle right"},
    "pages/_runs/parallel_coordinates.py": {"DataV", "ModelV", "TrainRows", "TestRows", "Cividis"},
    "pages/_runs/run_charts.py": {"DataV"},
    "pages/_runs/run_search.py": {
        "iris_training_data@2",
        "metrics.rmse < 0.3 AND params.depth = '3'",
        "metrics.rmse",
    },
    "pages/_runs/run_tables.py": {"TrainRows", "TestRows", "NaN"},
    "pages/_runs/run_views.py": {"TrainRows", "TestRows", "DataV"},
    "pages/_server/headers.py": {"Content-Security-Policy", "X-Frame-Options", "Referrer-Policy"},
    "pages/_tables/table_views.py": {"Int64"},
    "pages/_ui/charts.py": {"Source Sans, Source Sans Pro, sans-serif"},
    "pages/_ui/sign_in.py": {"Forwarded", "Via", "Host"},
    "pages/lineage.py": {"decided at"},
    "pages/sql.py": {"Ctrl+Enter"},
}
NAMES = re.compile(
    r"""
    X-[A-Za-z-]+                         # HTTP headers
    | YYYY.*                             # formats of times
    | \s?(SELECT|WHERE|VERSION\ AS\ OF)\b.*  # SQL
    """,
    re.VERBOSE,
)
# Functions and methods that show the arguments named (by keyword, or the first so many by position) to a person.
SHOWN: dict[str, int] = {
    "title": 1, "header": 1, "subheader": 1, "caption": 1, "markdown": 1, "write": 1, "info": 1, "warning": 1,
    "error": 1, "success": 1, "badge": 2, "metric": 2, "spinner": 1, "expander": 1, "button": 1,
    "download_button": 1, "form_submit_button": 1, "link_button": 1, "text_input": 1, "text_area": 1,
    "number_input": 1, "selectbox": 2, "multiselect": 2, "radio": 2, "toggle": 1, "checkbox": 1, "slider": 1,
    "date_input": 1, "file_uploader": 1, "tabs": 1, "segmented_control": 2, "progress": 2, "add_hline": 0,
    "update_layout": 0, "table": 0, "show": 0, "choose": 1, "choose_some": 1, "time_column": 1, "notify": 1,
    "bar": 0, "line": 0, "grouped_shares": 0, "grouped_histogram": 0,
}  # fmt: skip
SHOWN_KEYWORDS = {
    "label", "help", "placeholder", "alt", "text", "title", "x_title", "empty", "annotation_text",
    "xaxis_title", "yaxis_title", "legend_title_text", "page_title",
}  # fmt: skip
TRANSLATES = {"t", "tn", "text", "plural"}
MATERIAL = re.compile(r":material/\w+:|:\w+\[")
ERRORS = error_names()


def calls() -> list[TextCall]:
    return [call for path in sources() for call in text_calls(path, ERRORS)]


def pages() -> list[Path]:
    return [path for path in sources() if path == ROOT / "app.py" or path.is_relative_to(ROOT / "pages")]


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def is_translated(node: ast.AST) -> bool:
    """The first argument of an error is a template of the catalogue too; an assertion is for developers."""
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(called, ast.Name) and called.id in TRANSLATES | ERRORS | {"AssertionError"}


def literals(node: ast.AST) -> Iterator[ast.Constant]:
    """The string literals below *node* that no call translates."""
    if is_translated(node):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from literals(child)


def shown_literals(tree: ast.AST) -> Iterator[ast.Constant]:
    """The string literals that *tree* hands to a function which shows them to a person."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        for argument in call.args[: SHOWN.get(name, 0)]:
            # What is called within decides for itself, and a subscript names a field.
            if not isinstance(argument, ast.Call | ast.Subscript):
                yield from (one for one in literals(argument) if not _is_within_call(argument, one))
        if name in SHOWN or name.endswith("Column"):
            for keyword in call.keywords:
                if keyword.arg in SHOWN_KEYWORDS and not isinstance(keyword.value, ast.Call | ast.Subscript):
                    yield from (one for one in literals(keyword.value) if not _is_within_call(keyword.value, one))


def _is_within_call(root: ast.AST, wanted: ast.AST) -> bool:
    return any(
        isinstance(node, ast.Call | ast.Subscript | ast.Compare) and any(child is wanted for child in ast.walk(node))
        for node in ast.walk(root)
    )


def sentences(tree: ast.Module) -> Iterator[ast.Constant]:
    """The string literals outside docstrings that read like a text: capitalised, or several words."""
    documented = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.get_docstring(node) is not None
        and isinstance(node.body[0], ast.Expr)
    }
    for literal in literals(tree):
        value = str(literal.value)
        is_text = re.match(r"[A-Z][a-z]+", value) or re.search(r"[A-Za-z]{2,} [A-Za-z]{2,}", value)
        if literal not in documented and is_text and not NAMES.fullmatch(value):
            yield literal


def untranslated(source: str, names: set[str] | None = None) -> list[tuple[int, str]]:
    """Line and text of each literal in a page, apart from *names*, that a person would see without a translation."""
    tree = ast.parse(source)
    shown = [node for node in shown_literals(tree) if re.search(r"[A-Za-z]{2}", MATERIAL.sub("", str(node.value)))]
    found = {(node.lineno, str(node.value)) for node in [*shown, *sentences(tree)]}
    return sorted((line, value) for line, value in found if value not in (names or set()))


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_text_of_a_page_goes_through_the_catalogue(path: Path) -> None:
    names = NOT_TEXTS.get(str(path.relative_to(ROOT)))
    assert not untranslated(path.read_text(encoding="utf-8"), names), path


@pytest.mark.parametrize(
    "source",
    [
        'st.title("overview")',
        'st.button("ok" if known else t("Cancel"))',
        'st.caption(f"version {number}")',
        'st.text_input(t("Name"), placeholder="audit log")',
        'rows = [{"Model": name}]',
        'st.tabs(["rows", "history"])',
        'place.selectbox(t("Mode"), ["append", "overwrite"])',
    ],
)
def test_check_finds_a_text_outside_the_catalogue(source: str) -> None:
    assert untranslated(source)


def test_check_accepts_translated_texts_and_names_of_the_program() -> None:
    source = '''
"""A module. It has a docstring."""
st.title(t("Overview"), help=t("Which models serve."))
st.badge(t("failed") if failed else tn("{n} gate", "{n} gates", count), icon=":material/close:", color="red")
st.markdown(f"**{messages.plain(name)}** `{job.id}`")
st.button(words["name"], key="models_button")
'''
    assert not untranslated(source)


def test_values_of_a_text_are_given_by_keyword() -> None:
    wrong = []
    for call in calls():
        given = {keyword.arg for keyword in call.call.keywords}
        for node in call.templates:
            if not isinstance(node, ast.Constant) or None in given:
                continue
            named = fields(str(node.value)) if given or not call.is_error else set()
            missing = named - given - ({"n"} if call.name in ("tn", "plural") else set())
            # An error's other values are attributes; a sentence has no use for them.
            unused = set() if call.is_error or call.name in ("tn", "plural") else given - named
            if missing or unused or any(not name.isidentifier() for name in named):
                wrong.append((call.path, call.line, missing, unused))
    assert not wrong


def test_template_is_a_literal() -> None:
    wrong = [
        f"{call.path}:{call.line} {call.name}"
        for call in calls()
        if not call.is_error
        and not all(isinstance(node, ast.Constant) and isinstance(node.value, str) for node in call.templates)
    ]
    assert not wrong


def test_message_of_an_error_is_a_literal() -> None:
    wrong = [
        f"{call.path}:{call.line} {call.name}({ast.unparse(call.call.args[0])[:60]})"
        for call in calls()
        if call.is_error
        and call.call.args
        and not (isinstance(call.call.args[0], ast.Constant) and isinstance(call.call.args[0].value, str))
    ]
    assert not wrong


def test_committed_catalogue_is_what_the_source_says() -> None:
    assert CATALOGUE.read_bytes() == rendered(extract()), "run `make texts`"


def gaps(source: Catalog, translated: Catalog) -> list[str]:
    """What a translator still has to do: texts without a translation, unchecked ones, and wrong placeholders."""
    found = []
    for message in source:
        if not message.id:
            continue
        singular = message.id[0] if isinstance(message.id, tuple) else message.id
        other = translated.get(singular)
        if other is None or other.fuzzy or not all(strings(other)):
            found.append(f"not translated: {singular}")
        elif any(fields(string) - {"n"} != fields(singular) - {"n"} for string in strings(other)):
            found.append(f"other placeholders: {singular}")
    return found


def strings(message: Message) -> tuple[str, ...]:
    return tuple(message.string) if isinstance(message.string, tuple | list) else (message.string,)


def test_each_language_of_the_pages_has_every_text() -> None:
    for language in COMPLETE_LANGUAGES[1:]:
        with (LOCALE_DIR / language / "LC_MESSAGES" / "modelledger.po").open("rb") as file:
            assert not gaps(extract(), read_po(file, locale=language)), language


@pytest.mark.parametrize(
    ("string", "gap"),
    [("{n} filas de {table}", []), ("", ["not translated: Rows of {table}"]),
     ("Filas", ["other placeholders: Rows of {table}"])],
)  # fmt: skip
def test_missing_translation_is_found(string: str, gap: list[str]) -> None:
    source, translated = Catalog(), Catalog(locale="es")
    source.add("Rows of {table}")
    translated.add("Rows of {table}", string)
    assert gaps(source, translated) == gap
