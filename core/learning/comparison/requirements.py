"""Requirements of a model: the pin of each package, from the lines of its requirements.txt."""

from __future__ import annotations

import re
from collections.abc import Iterable

# A name with extras, as PEP 508 writes it.
_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*((?:\[[^\]]*\])?)(.*)", re.DOTALL)


def pins(lines: Iterable[str]) -> dict[str, str]:
    """Return, by package, what the lines require of it, such as "==1.9.1". A package without a pin has "".

    Names are normalised as in PEP 503. An option or an address without a name stands for itself.
    """
    found: dict[str, str] = {}
    for line in lines:
        match = _REQUIREMENT.fullmatch(line)
        is_named = match is not None and ("://" not in line or "@" in line.partition("://")[0])
        if match is None or not is_named:
            found[line] = ""
            continue
        name = re.sub(r"[-_.]+", "-", match[1]).lower()
        pin = f"{match[2]}{match[3].strip()}"
        found[name] = f"{found[name]}, {pin}" if name in found else pin
    return found
