"""Commands about jobs that exist, as they are typed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_sdk.cli.connection import Connection, connected
from compute_horde_sdk.cli.lazily import lazily

if TYPE_CHECKING:
    from compute_horde_sdk.cli import looking
else:
    looking = lazily("compute_horde_sdk.cli.looking")

Uuid = Annotated[
    str, typer.Argument(metavar="UUID", help="Its uuid, or the first characters of it.")
]


def _statuses(incomplete: str) -> list[str]:
    return [status.value for status in JobStatus if status.value.startswith(incomplete)]


@connected
def jobs(
    *,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status", "-s", help="Only with this status; repeatable.", autocompletion=_statuses
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-l", min=1, max=256, help="How many.")] = 20,
    page: Annotated[int, typer.Option("--page", "-p", min=1, help="Which page of them.")] = 1,
    connection: Connection,
) -> None:
    """List jobs, the newest first.

    ```
    horde jobs --status failed --status horde_failed --limit 50
    horde jobs --json
    ```
    """
    wanted = looking.Page(page, limit, tuple(status or ()))
    looking.list_jobs(connection.settings, wanted, is_json=connection.is_json)


@connected
def show(
    *,
    uuid: Uuid,
    save_artifacts: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Save its artifacts in this folder.")
    ] = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Print values of variables and whole URLs, too.")
    ] = False,
    connection: Connection,
) -> None:
    """Show all there is to know of a job.

    ```
    horde show 3f2a9c10
    horde show 3f2a9c10 --json
    ```
    """
    looking.show(
        connection.settings,
        uuid,
        save_to=save_artifacts,
        reveal=reveal,
        is_json=connection.is_json,
    )


@connected
def logs(
    *,
    uuid: Uuid,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")
    ] = False,
    connection: Connection,
) -> None:
    """Print what a job has written.

    ```
    horde logs -f 3f2a9c10
    ```
    """
    looking.logs(connection.settings, uuid, follow=follow, is_json=connection.is_json)


@connected
def cancel(
    *,
    uuids: Annotated[
        list[str],
        typer.Argument(metavar="UUID...", help="Uuids, or the first characters of them."),
    ],
    connection: Connection,
) -> None:
    """Cancel jobs. They end within seconds.

    ```
    horde cancel 3f2a9c10
    ```
    """
    looking.cancel(connection.settings, uuids, is_json=connection.is_json)


@connected
def report(
    *,
    job: Annotated[str, typer.Argument(metavar="JOB", help="Uuid of the job.")],
    trusted_job: Annotated[
        str,
        typer.Argument(
            metavar="TRUSTED", help="Uuid of the same job on the trusted miner (--trusted)."
        ),
    ],
    details: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="What differs, as JSON, or @FILE with it in."),
    ] = None,
    connection: Connection,
) -> None:
    """Report that the miner of a job cheated.

    ```
    horde report 3f2a9c10 77b0e2d4 --details '{"expected": "4", "got": "5"}'
    ```
    """
    looking.report(
        connection.settings, job, trusted_job, details=details, is_json=connection.is_json
    )


COMMANDS = {"jobs": jobs, "show": show, "logs": logs, "cancel": cancel, "report": report}
