"""The packages that MLflow needs for an artifact store, by the scheme of the address."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

# MLflow imports them when it first reads from such a store (mlflow/store/artifact/*_artifact_repo.py), and names the
# module, which is not the name to install.
_BY_SCHEME: Mapping[str, tuple[str, ...]] = {
    "s3": ("boto3",),
    "r2": ("boto3",),
    "b2": ("boto3",),
    "gs": ("google-cloud-storage",),
    "wasb": ("azure-storage-blob", "azure-identity"),
    "wasbs": ("azure-storage-blob", "azure-identity"),
    "abfs": ("azure-storage-file-datalake", "azure-identity"),
    "abfss": ("azure-storage-file-datalake", "azure-identity"),
    "sftp": ("pysftp",),
    "hdfs": ("pyarrow",),
    "viewfs": ("pyarrow",),
    "oss": ("aliyunstoreplugin",),
}
_BY_MODULE: Mapping[str, tuple[str, ...]] = {
    "boto3": ("boto3",),
    "botocore": ("boto3",),
    "google": ("google-cloud-storage",),
    "azure": ("azure-storage-blob", "azure-storage-file-datalake", "azure-identity"),
}


def needed_packages(uri: str, error: ImportError) -> tuple[str, ...]:
    """Return what to install so that *uri* can be read, where reading failed with *error*."""
    module = (error.name or str(error)).partition(".")[0]
    return _BY_SCHEME.get(urlsplit(uri).scheme.lower()) or _BY_MODULE.get(module) or (module,)
