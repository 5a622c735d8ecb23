"""Address: one normal form for every spelling of a table's address, so that spellings can be compared.

Nothing is opened. For a path on this machine's disk, links are followed.
"""

from __future__ import annotations

import os
import posixpath
import re
from urllib.parse import unquote

_URI = re.compile(r"^(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]+):(?P<rest>.*)$", re.DOTALL)
_CATALOG_NAME = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*){1,2}$")
# Spark SQL names a table by its path as delta.`/lake/loans`.
_PATH_TABLE = re.compile(r"^delta\.`(?P<path>.+)`$", re.IGNORECASE | re.DOTALL)
_SCHEMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}
_AZURE = frozenset({"abfs", "abfss", "wasb", "wasbs", "az", "azure", "adl"})
_AZURE_HOST = re.compile(r"^(?P<account>[^.]+)\.(blob|dfs)\.core\.[\w.]+$")
# The catalogs of a session's own metastore: their names may be left out.
_DEFAULT_CATALOGS = ("spark_catalog.", "hive_metastore.")


def is_catalog_name(uri: str) -> bool:
    """Return whether *uri* is a name in Spark's catalog (risk.loans, main.risk.loans) and not a path or URI."""
    return _CATALOG_NAME.match(uri) is not None


def address(reference: str) -> str | None:
    """Return the normal form of a path, a URI or a catalog name; None for any other text, such as a relative path.

    Scheme and host are in lower case; the path is percent-decoded once, without `.`, `..`, double and trailing
    slashes. s3a is s3, abfss and wasbs are azure, /dbfs/ is dbfs:/. A user and a password are left out.
    """
    reference = reference.strip()
    quoted = _PATH_TABLE.match(reference)
    if quoted is not None:
        reference = quoted["path"]
    uri = _URI.match(reference)
    if uri is not None:
        return _uri_address(uri["scheme"].lower(), uri["rest"])
    if reference.startswith("/dbfs/"):
        return f"dbfs:{_normal(reference.removeprefix('/dbfs'))}"
    if reference.startswith("/"):
        return f"file:{_followed(reference)}"
    name = reference.replace("`", "").lower()
    if not is_catalog_name(name):
        return None
    for catalog in _DEFAULT_CATALOGS:
        if name.startswith(catalog) and name.count(".") == 2:
            name = name.removeprefix(catalog)
    return f"catalog:{name}"


def likely_address(reference: str) -> str | None:
    """Return the address that *reference* has if a part that the writer may have left out is left out as well.

    That part is the account of an Azure container, and the scheme dbfs: of a path on Databricks.
    """
    exact = address(reference) or ""
    if exact.startswith("dbfs:/"):
        return address(exact.removeprefix("dbfs:"))
    if exact.startswith("azure://"):
        return "azure:///" + exact.removeprefix("azure://").partition("/")[2]
    return exact or None


def account_of(reference: str) -> str:
    """Return the storage account in an address of Azure; empty if the address names none or is of another store."""
    exact = address(reference) or ""
    return exact.removeprefix("azure://").partition("/")[0] if exact.startswith("azure://") else ""


def _uri_address(scheme: str, rest: str) -> str:
    authority, path = "", rest
    if rest.startswith("//"):
        authority, _, path = rest[2:].partition("/")
    user, _, host = authority.rpartition("@")
    host, path = host.lower(), unquote(path)
    if scheme == "file":
        return f"file://{host}{_normal(path)}" if host not in ("", "localhost") else f"file:{_followed(path)}"
    if scheme == "dbfs":
        return f"dbfs:{_normal(f'{host}/{path}')}"
    azure = _AZURE_HOST.match(host)
    if scheme in _AZURE or (scheme == "https" and azure is not None):
        # container@account.dfs… in the host, or the container in the host alone, or in the path of https.
        account = azure["account"] if azure is not None else ""
        container = user.lower() if azure is not None else host
        return f"azure://{account}{_normal(f'{container}/{path}')}"
    return f"{_SCHEMES.get(scheme, scheme)}://{host}{_normal(path)}"


def _normal(path: str) -> str:
    return posixpath.normpath("/" + path.lstrip("/"))


def _followed(path: str) -> str:
    try:
        return os.path.realpath(_normal(path) if ".." not in path else "/" + path.lstrip("/"))
    except ValueError:  # a null byte or half a character: no path on this disk
        return _normal(path)
