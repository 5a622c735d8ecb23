"""Convert MODELLEDGER_STORAGE_OPTIONS, which have delta-rs's names, to settings of Hadoop's S3A client."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import BadSettings

_S3A = "spark.hadoop.fs.s3a."
_TEMPORARY = "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider"
# Hadoop itself has no client for s3://, with which addresses of the embedded engine begin.
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
# Options for delta-rs's commits and timeouts: Spark has its own.
_ONLY_DELTA_RS = frozenset(
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
    """Return Spark's settings for *options*, overridden by the user's own *conf*.

    Raises BadSettings for options without an S3A setting, unless *conf* configures a Hadoop client itself.
    """
    if any(name.startswith("spark.hadoop.fs.") for name in conf):
        return dict(conf)
    settings: dict[str, str] = {}
    unknown: list[str] = []
    for name, value in options.items():
        key = name.lower()
        if key in _NAMES:
            settings[_S3A + _NAMES[key]] = value
        elif key in ("aws_allow_http", "allow_http"):
            settings[_S3A + "connection.ssl.enabled"] = "false" if _is_true(value) else "true"
        elif key == "aws_virtual_hosted_style_request":
            settings[_S3A + "path.style.access"] = "false" if _is_true(value) else "true"
        elif key not in _ONLY_DELTA_RS:
            unknown.append(name)
    if unknown:
        raise BadSettings(
            "MODELLEDGER_STORAGE_OPTIONS: Spark has no setting for {options}. Configure its Hadoop client in "
            "MODELLEDGER_SPARK_CONF (spark.hadoop.fs.…); then these options are used only to read the tables' logs.",
            setting="MODELLEDGER_STORAGE_OPTIONS",
            options=", ".join(sorted(unknown)),
        )
    if settings:
        settings |= _SCHEME
    if _S3A + "session.token" in settings:
        settings[_S3A + "aws.credentials.provider"] = _TEMPORARY
    return {**settings, **conf}


def _is_true(value: str) -> bool:
    return value.strip().lower() in ("true", "1", "yes", "on")
