"""The object store's options (MODELLEDGER_STORAGE_OPTIONS, in delta-rs's words) as settings of Hadoop's S3A client."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import BadSettings

_S3A = "spark.hadoop.fs.s3a."
_TEMPORARY = "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider"
# Addresses that the embedded engine takes begin with s3://, which Hadoop itself knows no client for.
_SCHEME = {"spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem"}

_NAMES = {
    "aws_access_key_id": "access.key",
    "aws_secret_access_key": "secret.key",
    "aws_session_token": "session.token",
    "aws_endpoint_url": "endpoint",
    "aws_endpoint": "endpoint",
    "aws_region": "endpoint.region",
    "aws_default_region": "endpoint.region",
}
# How delta-rs commits and how patient its client is: Spark does these in its own way.
_NOT_FOR_SPARK = frozenset(
    {
        "aws_s3_allow_unsafe_rename",
        "aws_s3_locking_provider",
        "aws_conditional_put",
        "delta_dynamo_table_name",
        "allow_invalid_certificates",
        "connect_timeout",
        "timeout",
        "user_agent",
    }
)


def hadoop_conf(options: Mapping[str, str], conf: Mapping[str, str]) -> dict[str, str]:
    """Spark's settings for *options*, below the user's own *conf*, which wins.

    Raises BadSettings for options that have no counterpart here, unless *conf* sets up a Hadoop client itself.
    """
    if any(name.startswith("spark.hadoop.fs.") for name in conf):
        return dict(conf)
    made: dict[str, str] = {}
    foreign: list[str] = []
    for name, value in options.items():
        key = name.lower()
        if key in _NAMES:
            made[_S3A + _NAMES[key]] = value
        elif key in ("aws_allow_http", "allow_http"):
            made[_S3A + "connection.ssl.enabled"] = "false" if _is_true(value) else "true"
        elif key == "aws_virtual_hosted_style_request":
            made[_S3A + "path.style.access"] = "false" if _is_true(value) else "true"
        elif key not in _NOT_FOR_SPARK:
            foreign.append(name)
    if foreign:
        raise BadSettings(
            f"MODELLEDGER_STORAGE_OPTIONS: Spark is not told {', '.join(sorted(foreign))}; set its Hadoop client up in "
            "MODELLEDGER_SPARK_CONF (spark.hadoop.fs.…), then these options are for the tables' logs alone.",
            setting="MODELLEDGER_STORAGE_OPTIONS",
        )
    if made:
        made |= _SCHEME
    if _S3A + "session.token" in made:
        made[_S3A + "aws.credentials.provider"] = _TEMPORARY
    return {**made, **conf}


def _is_true(value: str) -> bool:
    return value.strip().lower() in ("true", "1", "yes", "on")
