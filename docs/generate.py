"""Renders what the documents take from the code: ``./dev nox -s docs [-- --check]``."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from reference import UndocumentedError, reference

from compute_horde_common.jobs.lifecycle import ENDINGS, PROGRESS
from compute_horde_common.jobs.timing import LEEWAY_SECONDS, RESERVATION_SECONDS, STARTUP_SECONDS

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
    done = subprocess.run(  # noqa: S603 - our own
        [sys.executable, *arguments],
        env={**os.environ, **PLACEHOLDERS},
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
