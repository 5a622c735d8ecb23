"""The object store's options as Spark's client is told them. The names are those of Hadoop's S3A documentation."""

from __future__ import annotations

import pytest

from core.delta.spark.engine import SparkEngine
from core.errors import BadSettings


def test_options_of_s3_are_settings_of_hadoops_client() -> None:
    engine = SparkEngine(
        "local[*]",
        storage_options={
            "AWS_ACCESS_KEY_ID": "lake-reader",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9000",
            "AWS_REGION": "eu-central-1",
            "aws_allow_http": "true",
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
            "AWS_S3_ALLOW_UNSAFE_RENAME": "true",
        },
    )
    assert dict(engine.settings.conf) == {
        "spark.hadoop.fs.s3a.access.key": "lake-reader",
        "spark.hadoop.fs.s3a.secret.key": "secret",
        "spark.hadoop.fs.s3a.endpoint": "http://127.0.0.1:9000",
        "spark.hadoop.fs.s3a.endpoint.region": "eu-central-1",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
    }


def test_key_that_lasts_an_hour_is_given_with_its_token() -> None:
    engine = SparkEngine("local[*]", storage_options={"AWS_SESSION_TOKEN": "hour"})
    assert engine.settings.conf["spark.hadoop.fs.s3a.aws.credentials.provider"] == (
        "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider"
    )


def test_option_that_spark_is_not_told_is_named_with_where_to_set_it() -> None:
    with pytest.raises(
        BadSettings, match=r"no setting for azure_storage_account_key. .* MODELLEDGER_SPARK_CONF"
    ) as refused:
        SparkEngine("local[*]", storage_options={"azure_storage_account_key": "secret"})
    assert "secret" not in str(refused.value)


def test_hadoop_client_that_is_set_up_by_hand_is_left_as_it_is() -> None:
    by_hand = {"spark.hadoop.fs.azure.account.key.lake": "k"}
    engine = SparkEngine("local[*]", storage_options={"azure_storage_account_key": "k"}, conf=by_hand)
    assert dict(engine.settings.conf) == by_hand


def test_server_elsewhere_has_its_own_client_and_is_sent_no_key() -> None:
    engine = SparkEngine("sc://127.0.0.1:15002", storage_options={"AWS_SECRET_ACCESS_KEY": "secret"})
    assert dict(engine.settings.conf) == {}
