"""Uploads to object storage as its own client presigns them, read back through that client."""

import io
import json
import zipfile
from collections.abc import Iterator

import boto3
import pytest
from botocore.client import BaseClient
from botocore.config import Config
from moto.server import ThreadedMotoServer

from compute_horde_common.protocol.validator_miner import JobFailedReport, JobFinished
from tests.stand import Stand

BUCKET = "results"
LARGE = 100 << 20


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client_of(url, "us-east-1").create_bucket(Bucket=BUCKET)
    yield url
    server.stop()


@pytest.fixture(params=["us-east-1", "auto"])
def s3(endpoint: str, request: pytest.FixtureRequest) -> BaseClient:
    """Amazon's way to presign, and that of R2, whose only region is "auto"."""
    return client_of(endpoint, request.param)


def client_of(endpoint: str, region: str) -> BaseClient:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


def content(s3: BaseClient, key: str) -> bytes:
    found: bytes = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return found


def presigned_put(s3: BaseClient, key: str, path: str, **more: str) -> dict[str, object]:
    url = s3.generate_presigned_url("put_object", {"Bucket": BUCKET, "Key": key, **more})
    return {"output_upload_type": "single_file_put", "url": url, "relative_path": path}


def presigned_post(s3: BaseClient, key: str, path: str) -> dict[str, object]:
    form = s3.generate_presigned_post(
        BUCKET,
        key,
        Fields={"x-amz-meta-job": "déjà"},
        Conditions=[{"x-amz-meta-job": "déjà"}, ["content-length-range", 1, 1000]],
    )
    return {
        "output_upload_type": "single_file_post",
        "url": form["url"],
        "form_fields": form["fields"],
        "relative_path": path,
    }


async def test_a_presigned_put_stores_the_file_and_returns_its_etag(
    stand: Stand, s3: BaseClient
) -> None:
    report = await stand.run("echo put > /output/f", output_upload=presigned_put(s3, "a/b", "f"))

    assert isinstance(report, JobFinished)
    assert content(s3, "a/b") == b"put\n"
    told = json.loads((report.upload_results or {})["f"])["headers"]
    assert told["etag"] == s3.head_object(Bucket=BUCKET, Key="a/b")["ETag"]


async def test_signed_headers_go_along(stand: Stand, s3: BaseClient) -> None:
    upload = presigned_put(s3, "typed", "f", ContentType="text/x-horde")
    upload["signed_headers"] = {"Content-Type": "text/x-horde"}

    report = await stand.run("echo put > /output/f", output_upload=upload)

    assert isinstance(report, JobFinished)
    assert s3.head_object(Bucket=BUCKET, Key="typed")["ContentType"] == "text/x-horde"


async def test_a_presigned_post_stores_the_file(stand: Stand, s3: BaseClient) -> None:
    report = await stand.run("echo post > /output/f", output_upload=presigned_post(s3, "p", "f"))

    assert isinstance(report, JobFinished)
    assert content(s3, "p") == b"post\n"


async def test_everything_else_goes_into_one_zip(stand: Stand, s3: BaseClient) -> None:
    url = s3.generate_presigned_url("put_object", {"Bucket": BUCKET, "Key": "all.zip"})
    upload = {
        "output_upload_type": "multi_upload",
        "uploads": [presigned_put(s3, "one", "one"), presigned_post(s3, "two", "two")],
        "system_output": {"output_upload_type": "zip_and_http_put", "url": url},
    }

    report = await stand.run(
        "cd /output; for i in one two three; do echo $i > $i; done; echo log", output_upload=upload
    )

    assert isinstance(report, JobFinished)
    assert sorted(report.upload_results or {}) == ["one", "system_output", "two"]
    assert (content(s3, "one"), content(s3, "two")) == (b"one\n", b"two\n")
    assert _unzipped(content(s3, "all.zip")) == {
        "stderr.txt": b"",
        "stdout.txt": b"log\n",
        "three": b"three\n",
    }


async def test_a_bucket_that_is_not_there_is_named(stand: Stand, s3: BaseClient) -> None:
    url = s3.generate_presigned_url("put_object", {"Bucket": "nowhere", "Key": "k"})
    upload = {"output_upload_type": "single_file_put", "url": url, "relative_path": "f"}

    report = await stand.run("echo x > /output/f", output_upload=upload)

    assert isinstance(report, JobFailedReport)
    assert report.message.endswith("/nowhere/k: the server answered 404")


async def test_a_large_file_arrives_whole(stand: Stand, s3: BaseClient) -> None:
    upload = presigned_put(s3, "large", "f")

    report = await stand.run(f"head -c {LARGE} /dev/zero > /output/f", output_upload=upload)

    assert isinstance(report, JobFinished)
    assert s3.head_object(Bucket=BUCKET, Key="large")["ContentLength"] == LARGE


def _unzipped(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}
