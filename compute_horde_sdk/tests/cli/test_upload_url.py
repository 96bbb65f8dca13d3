"""URLs that a real S3 server accepts."""

import json
from collections.abc import Iterator

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from tests.cli.conftest import Horde

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    _client(url).create_bucket(Bucket="my-bucket")
    yield url
    server.stop()


def _client(url: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - made by boto3
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def test_a_put_to_the_printed_url_arrives(anybody: Horde, s3_url: str) -> None:
    said = anybody("upload-url", "s3://my-bucket/a/b.bin", "--endpoint-url", s3_url, env=KEYS)

    assert httpx.put(said.out.strip(), content=b"sent").status_code == 200
    assert _client(s3_url).get_object(Bucket="my-bucket", Key="a/b.bin")["Body"].read() == b"sent"


def test_a_post_with_the_printed_form_arrives(anybody: Horde, s3_url: str) -> None:
    said = anybody(
        *("upload-url", "s3://my-bucket/c", "--method", "post", "--json"),
        *("--endpoint-url", s3_url),
        env=KEYS,
    )
    volume = json.loads(said.out)

    answer = httpx.post(volume["url"], data=volume["form_fields"], files={"file": ("c", b"posted")})

    assert (volume["http_method"], answer.status_code) == ("POST", 204)
    assert _client(s3_url).get_object(Bucket="my-bucket", Key="c")["Body"].read() == b"posted"


def test_without_credentials_it_says_where_they_are_looked_for(anybody: Horde) -> None:
    said = anybody("upload-url", "s3://b/k", env={"AWS_EC2_METADATA_DISABLED": "true"})

    assert said.status == 125
    assert "AWS_ACCESS_KEY_ID" in said.err
