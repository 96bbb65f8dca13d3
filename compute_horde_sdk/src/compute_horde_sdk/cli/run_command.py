"""``horde run``, as it is typed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compute_horde_common.jobs.executor_classes import known_classes
from compute_horde_sdk.cli.connection import Connection, connection_flags, with_flags
from compute_horde_sdk.cli.lazily import lazily

if TYPE_CHECKING:
    from compute_horde_sdk.cli import job_file, running
else:
    job_file = lazily("compute_horde_sdk.cli.job_file")
    running = lazily("compute_horde_sdk.cli.running")

_DATA = "Inputs and outputs"
_COURSE = "How it is run"


def _classes(incomplete: str) -> list[str]:
    return [spec.name for spec in known_classes() if spec.name.startswith(incomplete)]


_File = Annotated[
    str | None,
    typer.Option("--file", "-f", help="Job file (YAML or TOML); - is YAML on stdin."),
]
_Class = Annotated[
    str | None,
    typer.Option(
        "--class",
        "-c",
        help="Executor class: the hardware. [env: HORDE_CLASS]",
        autocompletion=_classes,
    ),
]
_Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="What it is for, e.g. SN123.0. [env: HORDE_NAMESPACE]"),
]
_Env = Annotated[
    list[str] | None,
    typer.Option("--env", "-e", metavar="KEY=VALUE", help="Variable; KEY alone passes yours on."),
]
_EnvFile = Annotated[
    Path | None, typer.Option(help="File with a line KEY=VALUE for each variable.")
]
_Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="MOUNT=SOURCE",
        help="/volume/PATH=SOURCE: a file, a folder, a URL, or hf:REPO[@REVISION].",
        rich_help_panel=_DATA,
    ),
]
_Outputs = Annotated[
    list[str] | None,
    typer.Option(
        "--output",
        "-o",
        metavar="MOUNT=URL",
        help="/output/PATH=URL: where the file is PUT. See `horde upload-url`.",
        rich_help_panel=_DATA,
    ),
]
_Artifacts = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Folder of the container whose small files come back.",
        rich_help_panel=_DATA,
    ),
]
_SaveArtifacts = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder to save them in; --artifacts is then /artifacts by default.",
        rich_help_panel=_DATA,
    ),
]
_Limits = Annotated[
    list[str] | None,
    typer.Option(
        metavar="STAGE=SECONDS",
        help="Limits, with commas: download, execution, upload, streaming-start.",
        rich_help_panel=_COURSE,
    ),
]
_Streaming = Annotated[
    bool | None,
    typer.Option("--streaming", help="It answers requests while it runs.", rich_help_panel=_COURSE),
]
_Trusted = Annotated[
    bool | None,
    typer.Option(
        "--trusted", help="On the validator's own trusted miner.", rich_help_panel=_COURSE
    ),
]
_Timeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="Cancel it after so long, all attempts together.",
        rich_help_panel=_COURSE,
    ),
]
_Attempts = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="How often it is sent if the network fails it. Default: 3",
        rich_help_panel=_COURSE,
    ),
]
_Local = Annotated[
    bool,
    typer.Option("--local", help="In the Docker of this machine.", rich_help_panel=_COURSE),
]
_Detach = Annotated[
    bool,
    typer.Option("--detach", "-d", help="Print its uuid, and leave.", rich_help_panel=_COURSE),
]
_DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print the request, and send nothing.", rich_help_panel=_COURSE),
]
_Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print only what the job writes.", rich_help_panel="Output"),
]


def _job_flags(  # noqa: PLR0913 - one for each flag
    *,
    image: Annotated[str | None, typer.Argument(metavar="IMAGE", help="Image to run.")] = None,
    args: Annotated[
        list[str] | None, typer.Argument(metavar="ARGS", help="Arguments of its container.")
    ] = None,
    file: _File = None,
    job_class: _Class = None,
    namespace: _Namespace = None,
    env: _Env = None,
    env_file: _EnvFile = None,
    inputs: _Inputs = None,
    outputs: _Outputs = None,
    artifacts: _Artifacts = None,
    save_artifacts: _SaveArtifacts = None,
    limits: _Limits = None,
    streaming: _Streaming = None,
    trusted: _Trusted = None,
    timeout: _Timeout = None,
    attempts: _Attempts = None,
) -> "job_file.Job":
    said = {
        "image": image,
        "args": args if image else None,
        "class": job_class,
        "namespace": namespace,
        "env-file": env_file,
        "artifacts": artifacts,
        "save-artifacts": save_artifacts,
        "streaming": streaming,
        "trusted": trusted,
        "timeout": timeout,
        "attempts": attempts,
    }
    pairs = {"env": env, "input": inputs, "output": outputs, "limits": limits}
    return job_file.wanted_job(file, said, {name: texts or [] for name, texts in pairs.items()})


@with_flags(job=_job_flags, connection=connection_flags)
def run(
    *,
    job: "job_file.Job",
    local: _Local = False,
    detach: _Detach = False,
    dry_run: _DryRun = False,
    quiet: _Quiet = False,
    connection: Connection,
) -> None:
    """Run a job, and show what it does.

    What it writes goes to stdout and stderr, everything else to stderr.
    The exit status is the job's. Ctrl-C cancels it; a second one leaves it alone.

    Flags stand before the image, and count more than the job file.

    ```
    horde run -c always_on.test -n SN12.try busybox echo hello
    horde run -f job.yaml --limits execution=600
    horde run -c always_on.llm.a6000 -n SN1.0 -i /volume/model=hf:org/model my/image
    ```
    """
    manner = running.Manner(is_local=local, is_json=connection.is_json, is_quiet=quiet)
    if dry_run:
        running.dry_run(job, connection.settings, manner)
    elif detach:
        running.detach(job, connection.settings, manner)
    else:
        raise typer.Exit(running.run(job, connection.settings, manner))


COMMANDS = {"run": run}
