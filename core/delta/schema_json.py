"""The schema JSON of a Delta log: the names of its types.

Source: Delta protocol, "Schema Serialization Format".
"""

from __future__ import annotations

from typing import Any


def type_name(value: Any) -> str:
    """Return a type of Delta's schema JSON in one line: "long", "array<string>", "struct<a:long>"."""
    if isinstance(value, str):
        return value
    kind = value["type"]
    if kind == "array":
        return f"array<{type_name(value['elementType'])}>"
    if kind == "map":
        return f"map<{type_name(value['keyType'])},{type_name(value['valueType'])}>"
    if kind == "struct":
        inner = ",".join(f"{part['name']}:{type_name(part['type'])}" for part in value["fields"])
        return f"struct<{inner}>"
    return str(kind)
