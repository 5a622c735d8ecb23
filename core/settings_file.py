"""Settings file: modelledger.toml, which holds the settings that are clumsy as JSON in an environment variable."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from core.errors import BadSettings

VARIABLE = "MODELLEDGER_CONFIG"
NAME = "modelledger.toml"


def settings_file(home: Path) -> Path | None:
    """Return the settings file: the one that MODELLEDGER_CONFIG names, else modelledger.toml in the working folder.

    The last place is *home*, where the sample workspace keeps its policy. None if there is no file. Raises BadSettings
    if MODELLEDGER_CONFIG names a file that does not exist.
    """
    named = os.environ.get(VARIABLE, "").strip()
    files = [Path(os.path.expanduser(named))] if named else [Path(NAME), home / NAME]
    if file := next(filter(Path.is_file, files), None):
        return file
    if named:
        raise BadSettings(
            "{setting} names {file}, which is not a file. Create the file, or remove the setting.",
            setting=VARIABLE,
            file=named,
        )
    return None


def read_settings_file(home: Path, names: Iterable[str]) -> dict[str, Any]:
    """Return the values of the settings file by setting, or nothing if there is no file.

    *names* are the settings that exist; a key that is not one of them is refused, so a misspelt key is not ignored.

    Raises:
        BadSettings: The file cannot be read, is not TOML, or has an unknown key.
    """
    file = settings_file(home)
    if file is None:
        return {}
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings("The settings file {file} cannot be read: {cause}.", file=file, cause=error) from error
    except tomllib.TOMLDecodeError as error:
        # The parser's message names the place and quotes no value.
        raise BadSettings("The settings file {file} is not valid TOML: {cause}.", file=file, cause=error) from error
    names = sorted(names)
    for key in values:
        if key not in names:
            likely = difflib.get_close_matches(key.lower().removeprefix("modelledger_"), names, n=1)
            if likely:
                raise BadSettings(
                    "{file} sets {key!r}, which is not a setting. Did you mean {name!r}?",
                    file=file,
                    key=key,
                    name=likely[0],
                )
            raise BadSettings(
                "{file} sets {key!r}, which is not a setting. `python -m core doctor` lists all settings; in the file "
                "their names are lower-case, without MODELLEDGER_.",
                file=file,
                key=key,
            )
    if "home" in values and file.parent == home:
        raise BadSettings(
            "{file} sets home, but is itself in home. Remove the line, or move the file to the working folder.",
            file=file,
        )
    if "tables" in values:
        values["tables"] = _tables(values["tables"], file)
    return values


def _tables(value: object, file: Path) -> str:
    """Return the tables as the environment variable has them. The file may hold a text, a list, or name = "uri"."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        entries = [f"{name}={uri}" for name, uri in value.items()]
    elif isinstance(value, list):
        entries = [str(entry) for entry in value]
    else:
        entries = [","]
    if any("," in entry for entry in entries):
        raise BadSettings(
            '{file}: tables is a list of folders and name=uri pairs, or a table with name = "uri"; an address cannot '
            "hold a comma.",
            file=file,
        )
    return ",".join(entries)
