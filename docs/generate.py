"""Renders what the documents take from the code: ``./dev nox -s docs [-- --check]``."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from reference import UndocumentedError, reference
from settings import compose_table, executor_tables

from compute_horde_common.jobs.lifecycle import ENDINGS, PROGRESS
from compute_horde_common.jobs.timing import LEEWAY_SECONDS, RESERVATION_SECONDS, STARTUP_SECONDS
from executor.config import ENVIRONMENT

ROOT = Path(__file__).parent.parent
SERVICES = {
    "facilitator": "FacilitatorConfig",
    "validator": "ValidatorConfig",
    "miner": "MinerConfig",
}
MEANINGS = {
    "sent": "the facilitator has it",
    "received": "its validator has it, and found the signature good",
    "accepted": "a miner reserved a slot for it",
    "executor_ready": "an executor is up and has the image",
    "volumes_ready": "inputs are in place, or there are none",
    "streaming_ready": "a streaming job can be reached",
    "execution_done": "the container exited with 0",
    "completed": "outputs were sent, and the result is there",
    "rejected": "nobody took it",
    "failed": "the job went wrong; its author can do something about it",
    "horde_failed": "the network failed it",
}
PLACEHOLDERS = {
    "SECRET_KEY": "only-for-rendering-documents",
    "JWT_SECRET": "only-for-rendering-documents-0123",
    "DATABASE_URL": "postgresql://nobody@localhost/nothing",
    "REDIS_URL": "redis://localhost/0",
}


def lifecycle() -> str:
    """The page about a job's states."""
    steps = [f"    {a} --> {b}" for a, b in pairwise(PROGRESS)]
    ends = [f"    any --> {ending}" for ending in sorted(ENDINGS - {"completed"})]
    rows = [f"| `{status}` | {meaning} |" for status, meaning in MEANINGS.items()]
    return f"""\
# The lifecycle of a job

Rendered from `compute_horde_common/jobs/lifecycle.py` by `./dev nox -s docs`; do not edit.

```mermaid
stateDiagram-v2
    [*] --> sent
{chr(10).join(steps)}
    execution_done --> completed
    state "any of them" as any
{chr(10).join(ends)}
```

| status | meaning |
|---|---|
{chr(10).join(rows)}

A job only goes forward. It may pass stages over: one that does not stream is never
`streaming_ready`, and a validator that lost its link reports where the job is now.

## Limits

| stage | may take | whose limit |
|---|---|---|
| reservation: offer to acceptance | {RESERVATION_SECONDS} s | network |
| start-up: to `executor_ready` | the class's spin-up time and {STARTUP_SECONDS} s | network |
| from then on | {LEEWAY_SECONDS} s leeway, once | network |
| download, to `volumes_ready` | `download_time_limit` | job |
| streaming start, to `streaming_ready` | `streaming_start_time_limit` | job |
| execution, to `execution_done` | `execution_time_limit` | job |
| upload, to the end | `upload_time_limit` | job |

One deadline runs through the stages; each adds its limit, and what it does not need is left to the
later ones.
"""


def settings_example(service: str, kind: str) -> str:
    """A service's ``.env.example``."""
    program = (
        "from compute_horde_common.contrib.django.config import env_example;"
        f"from {service}.config import {kind}; print(env_example({kind}), end='')"
    )
    return _python("-c", program)


def configuration() -> str:
    """The page of all variables."""
    program = (
        "from settings import service_table; from {0}.config import {1}; print(service_table({1}))"
    )
    tables = {
        service: _python("-c", program.format(service, kind)) for service, kind in SERVICES.items()
    }
    known = "import json; from miner.config import EXECUTOR_SETTINGS as e; print(json.dumps([*e]))"
    operators, miners = executor_tables(ENVIRONMENT, json.loads(_python("-c", known)))
    example = _run("docker/configure", "--example")
    return f"""\
# Configuration

Rendered from the code by `./dev nox -s docs`; do not edit.

Services and executors read environment variables. A variable without a default is unset, or empty,
which is the same. What is missing or wrong is told all at once, when the process starts. A service
also reads each variable from a file in `/run/secrets` that is named like it in small letters: so
Docker Compose hands secrets over.

- [Docker Compose](#docker-compose): where things run, on a server
- [Facilitator](#facilitator), [validator](#validator), [miner](#miner): what services do
- [Executors](#executors): what jobs may do on a miner's hosts

## Docker Compose

`docker/configure`, which lies beside `docker-compose.yml` on a server, writes these into `.env`.
Services read `.env`, too, so it may hold any of their variables. A variable for one service alone
goes into `facilitator.env`, `validator.env` or `miner.env`, which win over `.env`. After a change:
`docker compose up --detach`.

{compose_table(example)}

## Facilitator

{tables["facilitator"]}
## Validator

{tables["validator"]}
## Miner

{tables["miner"]}
## Executors

The miner passes on what its `EXECUTOR_ENVIRONMENT` names. That may be these:

{operators}

These are the miner's to set, or come from an executor's surroundings:

{miners}
"""


def openapi() -> str:
    """The facilitator's REST interface."""
    return _python(
        *("-m", "django", "export_openapi_schema", "--settings", "facilitator.settings"),
        *("--api", "facilitator.urls.api", "--indent", "2"),
    )


def sdk_reference() -> str:
    """The SDK's public names."""
    try:
        return reference()
    except UndocumentedError as error:
        raise SystemExit(f"The SDK's reference cannot be rendered: {error}") from None


def _python(*arguments: str) -> str:
    return _run(sys.executable, *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own
        command,
        cwd=ROOT,
        env={**os.environ, **PLACEHOLDERS, "PYTHONPATH": str(ROOT / "docs")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return done.stdout


def main() -> int:
    """Writes the files, or with ``--check`` says which would change."""
    wanted = {
        ROOT / ".env.example": _run("docker/configure", "--example"),
        ROOT / "docs" / "configuration.md": configuration(),
        ROOT / "docs" / "lifecycle.md": lifecycle(),
        ROOT / "docs" / "openapi.json": openapi(),
        ROOT / "docs" / "sdk" / "reference.md": sdk_reference(),
    }
    for service, kind in SERVICES.items():
        wanted[ROOT / service / ".env.example"] = settings_example(service, kind)
    changed = [
        path for path, text in wanted.items() if not path.exists() or path.read_text() != text
    ]
    if "--check" in sys.argv[1:]:
        for path in changed:
            print(f"{path.relative_to(ROOT)} is out of date; run ./dev nox -s docs")
        return 1 if changed else 0
    for path in changed:
        path.write_text(wanted[path])
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
