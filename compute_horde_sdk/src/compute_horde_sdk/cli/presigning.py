"""``horde upload-url``: URLs that anybody may upload one file to, for the outputs of jobs."""

import importlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import yaml

from compute_horde_sdk.cli import printing
from compute_horde_sdk.cli.trouble import CommandFailed, WrongUsage

LONGEST_SECONDS = 7 * 24 * 3600
"""What S3 allows."""
_CREDENTIALS = "boto3 finds them in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws, or a role."


@dataclass(frozen=True)
class Target:
    """Where the file is to be, and how it is sent there."""

    location: str
    method: str
    seconds: int
    endpoint_url: str | None = None
    region: str | None = None


def print_url(target: Target, *, is_json: bool) -> None:
    """Prints the URL of a PUT; of a POST, which needs more than that, the output volume.

    Raises:
        WrongUsage: there is no such place.
        CommandFailed: nothing can be signed.
    """
    volume = output_volume(target)
    if is_json:
        printing.print_json(volume)
    elif target.method == "PUT":
        printing.out().print(volume["url"], markup=False, soft_wrap=True)
    else:
        name = PurePosixPath(_place(target)[1]).name
        text = yaml.safe_dump(
            {"output": {f"/output/{name}": volume}}, sort_keys=False, width=10_000
        )
        printing.out().print(text, markup=False, soft_wrap=True, end="")


def output_volume(target: Target) -> dict[str, Any]:
    """The volume as it stands in a job file, or in the arguments of an ``HTTPOutputVolume``.

    Raises:
        WrongUsage: there is no such place.
        CommandFailed: nothing can be signed.
    """
    bucket, key = _place(target)
    if not 0 < target.seconds <= LONGEST_SECONDS:
        raise WrongUsage(
            f"--expires is {target.seconds} seconds", f"S3 allows 1 to {LONGEST_SECONDS} (7 days)."
        )
    boto3, config, exceptions = (
        importlib.import_module(name)
        for name in ("boto3", "botocore.config", "botocore.exceptions")
    )
    try:
        s3 = boto3.Session().client(
            "s3",
            endpoint_url=target.endpoint_url,
            region_name=target.region,
            config=config.Config(signature_version="s3v4"),
        )
        return _signed(s3, bucket, key, target)
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise CommandFailed(f"no credentials to sign with: {error}", _CREDENTIALS) from error
    except (exceptions.BotoCoreError, exceptions.ClientError, ValueError) as error:
        raise WrongUsage(
            f"{target.location} cannot be signed for: {error}", "Check --endpoint-url and --region."
        ) from error


def _signed(s3: Any, bucket: str, key: str, target: Target) -> dict[str, Any]:  # noqa: ANN401 - made by boto3 at run time
    if target.method == "PUT":
        url = s3.generate_presigned_url(
            "put_object", {"Bucket": bucket, "Key": key}, ExpiresIn=target.seconds
        )
        return {"http_method": "PUT", "url": url}
    form = s3.generate_presigned_post(bucket, key, ExpiresIn=target.seconds)
    return {"http_method": "POST", "url": form["url"], "form_fields": form["fields"]}


def _place(target: Target) -> tuple[str, str]:
    parts = urlsplit(target.location)
    bucket, key = parts.netloc, target.location.removeprefix(f"s3://{parts.netloc}/")
    if parts.scheme != "s3" or not bucket or not parts.path.strip("/") or key.endswith("/"):
        raise WrongUsage(
            f"{target.location!r} names no file in a bucket",
            "Write it like s3://my-bucket/results/output.bin",
        )
    return bucket, key
