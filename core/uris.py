"""URI: where a table or a file lies. The one place that decodes an address into a path on this machine's disk."""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit


def local_path(uri: str) -> str | None:
    """Return the path of *uri* on this machine's disk, or None for the address of an object store.

    `file:`, `file:/` and `file:///` URIs are percent-decoded once. A plain path is returned as written, with `~`
    expanded: its percent signs are part of its name.
    """
    if uri.startswith("file:"):
        return unquote(urlsplit(uri).path)
    return None if "://" in uri else os.path.expanduser(uri)


def logged_path(reference: str) -> str:
    """Return the file that an entry of a Delta log names: a path below the table, an absolute path or a store's URI.

    Log entries are percent-encoded once. The result is decoded, so it must not go through `local_path` again.

    Source: Delta protocol, "Add File and Remove File" (path is a URI as in RFC 2396).
    """
    path = local_path(reference) if reference.startswith("file:") else None
    return unquote(reference) if path is None else path
