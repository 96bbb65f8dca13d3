"""Commands that prepare jobs, as they are typed."""

import importlib.metadata
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from compute_horde_sdk.cli.connection import Connection, connected
from compute_horde_sdk.cli.lazily import lazily
from compute_horde_sdk.cli.settings import Settings

if TYPE_CHECKING:
    from compute_horde_sdk.cli import checkup, hardware, presigning, printing
    from compute_horde_sdk.cli import login as logging_in
else:
    checkup = lazily("compute_horde_sdk.cli.checkup")
    hardware = lazily("compute_horde_sdk.cli.hardware")
    logging_in = lazily("compute_horde_sdk.cli.login")
    presigning = lazily("compute_horde_sdk.cli.presigning")
    printing = lazily("compute_horde_sdk.cli.printing")

HOUR = 3600


@connected
def login(
    *,
    job_class: Annotated[
        str | None, typer.Option("--class", help="Class of jobs that name none.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", help="Namespace of jobs that name none.")
    ] = None,
    connection: Connection,
) -> None:
    """Choose facilitator, validator and hotkey, and try them.

    Asks for what no flag says. No secret is stored: keys stay in their wallets.

    ```
    horde login
    horde login --wallet my-wallet --validator 5F... --profile testing
    ```
    """
    logging_in.login(connection, Settings(job_class=job_class, namespace=namespace))


@connected
def classes(connection: Connection) -> None:
    """List executor classes and their hardware.

    ```
    horde classes
    ```
    """
    hardware.print_classes(is_json=connection.is_json)


@connected
def upload_url(
    *,
    location: Annotated[str, typer.Argument(metavar="S3_URL", help="s3://BUCKET/KEY")],
    method: Annotated[
        Literal["PUT", "POST"],
        typer.Option(case_sensitive=False, help="POST prints an output for a job file."),
    ] = "PUT",
    expires: Annotated[
        int, typer.Option(metavar="SECONDS", help="How long it can be used; 7 days at most.")
    ] = HOUR,
    endpoint_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Server, if it is not Amazon's.")
    ] = None,
    region: Annotated[
        str | None, typer.Option(metavar="NAME", help="Region of the bucket.")
    ] = None,
    connection: Connection,
) -> None:
    """Make a URL that a job may upload one file to.

    Signed with the credentials that boto3 finds; --json prints the output for a job file.

    ```
    horde run -o /output/x.bin="$(horde upload-url s3://my-bucket/x.bin)" ...
    ```
    """
    target = presigning.Target(location, method, expires, endpoint_url, region)
    presigning.print_url(target, is_json=connection.is_json)


@connected
def doctor(connection: Connection) -> None:
    """Check all that a job needs: exit status 1 if something is missing.

    ```
    horde doctor
    ```
    """
    if not checkup.doctor(connection):
        raise typer.Exit(1)


@connected
def version(connection: Connection) -> None:
    """Print the version."""
    found = importlib.metadata.version("compute-horde-sdk")
    if connection.is_json:
        printing.print_json({"version": found})
    else:
        printing.out().print(found)


COMMANDS = {
    "login": login,
    "doctor": doctor,
    "classes": classes,
    "upload-url": upload_url,
    "version": version,
}
