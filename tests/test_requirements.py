"""The pins of requirements.txt: each is needed, and each dependency that pyproject.toml declares is pinned."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent

# Packages that no Python file imports: commands, plug-ins and what another package loads by name.
USED_WITHOUT_IMPORT = {
    "import-linter": "the command lint-imports",
    "mypy": "a command",
    "oidc-provider-mock": "a command that the sign-in tests start",
    "pandas-stubs": "types that mypy reads",
    "pre-commit": "a command",
    "pytest-xdist": "pytest's -n",
    "ruff": "a command",
    "thrift": "PyHive loads it for a binary connection",
}


def pins() -> set[str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return {canonicalize_name(line.split("==")[0]) for line in lines if line and not line.startswith("#")}


def declared(*extras: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    return [
        Requirement(line)
        for line in (*project["dependencies"], *(line for extra in extras or optional for line in optional[extra]))
    ]


def names(requirements: list[Requirement]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in requirements}


def imported_modules(*places: str) -> set[str]:
    """Return the top-level modules that the Python files in *places* import: not of the standard library, not ours."""
    files = [
        file for place in places for file in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
    ]
    return {
        name.split(".")[0]
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for name in names_of(node)
        if name.split(".")[0] not in sys.stdlib_module_names
    } - {path.stem for path in ROOT.iterdir()}


def names_of(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module


def packages_of(modules: set[str]) -> set[str]:
    """Return the installed packages that provide *modules*."""
    providers = metadata.packages_distributions()
    missing = modules - providers.keys()
    assert not missing, f"not installed: {sorted(missing)}"
    return {canonicalize_name(package) for module in modules for package in providers[module]}


def requirements_of(package: str, extras: frozenset[str]) -> list[Requirement]:
    """Return what the installed *package* requires here, with what it requires for *extras*."""
    requirements = [Requirement(line) for line in metadata.requires(package) or []]
    return [
        requirement
        for requirement in requirements
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras))
    ]


def closure(roots: set[str]) -> set[str]:
    """Return *roots* and all that they require, with the extras that pyproject.toml asks for."""
    pending = {(root, frozenset[str]()) for root in roots}
    pending |= {
        (canonicalize_name(wish.name), frozenset(wish.extras))
        for wish in declared()
        if canonicalize_name(wish.name) in roots
    }
    seen: set[tuple[str, frozenset[str]]] = set()
    while pending:
        package, extras = pending.pop()
        seen.add((package, extras))
        further = {(canonicalize_name(r.name), frozenset(r.extras)) for r in requirements_of(package, extras)}
        pending |= further - seen
    return {package for package, _ in seen}


def test_every_pin_is_imported_or_required_by_a_package_that_is() -> None:
    imported = packages_of(imported_modules("core", "pages", "app.py", "tests", "benchmarks", "docs"))
    unused = pins() - closure(imported | set(USED_WITHOUT_IMPORT))
    assert not unused, (
        f"nothing imports or requires {sorted(unused)}: remove them from pyproject.toml, then `make lock`"
    )


def test_every_exception_is_pinned_and_not_imported() -> None:
    """An exception that is no longer needed would hide a pin that nothing uses."""
    imported = packages_of(imported_modules("core", "pages", "app.py", "tests", "benchmarks", "docs"))
    assert set(USED_WITHOUT_IMPORT) <= pins()
    assert not set(USED_WITHOUT_IMPORT) & imported


def test_every_package_that_the_app_imports_is_declared() -> None:
    """A package that is there only because another one requires it may go with that one's next version."""
    providers = metadata.packages_distributions()
    runtime = names(declared("spark", "postgres"))
    undeclared = {
        module
        for module in imported_modules("core", "pages", "app.py")
        if not {canonicalize_name(package) for package in providers.get(module, [])} & runtime
    }
    assert not undeclared, f"add the packages of {sorted(undeclared)} to pyproject.toml, then `make lock`"


def test_every_declared_dependency_is_pinned() -> None:
    missing = names(declared()) - pins()
    assert not missing, f"run `make lock`: {sorted(missing)} are not in requirements.txt"


def test_every_pin_is_the_version_that_is_installed() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pinned = re.findall(r"^([\w.-]+)==(\S+)", lines, flags=re.MULTILINE)
    assert len(pinned) == len(pins())
    wrong = [
        f"{name}: {version}, installed {metadata.version(name)}"
        for name, version in pinned
        if metadata.version(name) != version
    ]
    assert not wrong, f"run `make setup`: {wrong}"
