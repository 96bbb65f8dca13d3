"""SkyPilot, as a `Cloud`. Only this module knows it; a `FallbackClient` imports it when made."""

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("SKYPILOT_DISABLE_USAGE_COLLECTION", "1")

import sky
from sky.utils import registry

from compute_horde_sdk._internal.fallback.cloud import (
    MachineOrder,
    MachineState,
    Phase,
    SshAddress,
)
from compute_horde_sdk._internal.fallback.exceptions import FallbackError

DISK_GB = 256
SSH_PORT = 22
RUNPOD = "runpod"
RUNPOD_CONFIG = Path("~/.runpod/config.toml")
OWNER_ONLY = 0o600
SHOWN_CHARACTERS = 2000

PHASES = {
    "INIT": Phase.LAUNCHING,
    "PENDING": Phase.LAUNCHING,
    "SETTING_UP": Phase.LAUNCHING,
    "RUNNING": Phase.STARTED,
    "SUCCEEDED": Phase.SUCCEEDED,
    "FAILED": Phase.FAILED,
    "FAILED_DRIVER": Phase.REFUSED,
    "FAILED_SETUP": Phase.REFUSED,
    "CANCELLED": Phase.CANCELLED,
}


class SkyPilot:
    """A cloud that SkyPilot knows.

    Args:
        cloud: its name, in any case.
        options: ``api_key`` for RunPod; nothing for others, which have their own set-up
            (``sky check``).

    Raises:
        FallbackError: there is no such cloud, or no such option.
    """

    def __init__(self, cloud: str, **options: str | None) -> None:
        known = sorted(registry.CLOUD_REGISTRY)
        self.name = str(cloud).lower()
        if self.name not in known:
            raise FallbackError(f"cloud is {cloud!r:.100}. SkyPilot knows {', '.join(known)}.")
        self._cloud = registry.CLOUD_REGISTRY.from_str(self.name)
        api_key = options.pop("api_key", None)
        if options or (api_key is not None and self.name != RUNPOD):
            name = next(iter(options), "api_key")
            raise FallbackError(f"{name} is no option of {self.name}; set it up by `sky check`")
        if api_key is not None:
            _keep_runpod_key(api_key)

    def launch(self, order: MachineOrder, idle_minutes: int) -> str:
        """Begins to start a machine, which ends when it has been idle for so long."""
        with _told():
            return str(
                sky.launch(
                    self.task(order),
                    cluster_name=order.name,
                    idle_minutes_to_autostop=idle_minutes,
                    down=True,
                )
            )

    def task(self, order: MachineOrder) -> "sky.Task":
        """What SkyPilot is asked for."""
        task = sky.Task(name=order.name, run=order.command, workdir=str(order.folder))
        any_of: list[Mapping[str, int] | None] = [*order.accelerators] or [None]
        wanted = [self._resources(order, each) for each in any_of]
        task.set_resources(set(wanted))
        return task

    def _resources(
        self, order: MachineOrder, accelerator: Mapping[str, int] | None
    ) -> "sky.Resources":
        return sky.Resources(
            cloud=self._cloud,
            accelerators=None if accelerator is None else dict(accelerator),
            cpus=order.cpus,
            memory=order.memory,
            disk_size=order.disk_size or DISK_GB,
            ports=order.ports,
            instance_type=order.instance_type,
            image_id=None if order.image is None else f"docker:{order.image}",
            region=order.region,
            zone=order.zone,
        )

    def state(self, name: str, ticket: str) -> MachineState:
        """Where a machine is."""
        with _told():
            asked = self._request(name, ticket)
        status = asked[0].status if asked else "SUCCEEDED"
        if status == "FAILED":
            return MachineState(Phase.REFUSED, _reason(asked[0].error))
        if status == "CANCELLED":
            return MachineState(Phase.CANCELLED)
        if status != "SUCCEEDED":
            return MachineState(Phase.LAUNCHING, asked[0].status_msg or "")
        return self._job_state(name)

    @staticmethod
    def _request(name: str, ticket: str) -> "list[Any]":
        """The launch, by its ticket or else by its machine; none if it is forgotten."""
        if ticket:
            return list(sky.api_status([ticket]))
        found = sky.api_status(all_status=True, cluster_name=name)
        return [each for each in found if each.name == "sky.launch"]

    @staticmethod
    def _job_state(name: str) -> MachineState:
        try:
            found = sky.get(sky.job_status(name))
        except sky.exceptions.ClusterDoesNotExist:
            return MachineState(Phase.GONE, "the machine is not there any more")
        except sky.exceptions.ClusterNotUpError as error:
            # It came, and broke down or was taken away.
            return MachineState(Phase.GONE, str(error)[:SHOWN_CHARACTERS])
        except Exception as error:
            raise _trouble(error) from error
        status = next(iter(found.values()), None)
        phase = Phase.LAUNCHING if status is None else PHASES[status.value]
        return MachineState(phase, "" if status is None else status.value)

    def log(self, name: str) -> str:
        """What its command has written until now."""
        written = io.StringIO()
        with _told():
            sky.tail_logs(name, None, follow=False, output_stream=written)
        return written.getvalue()

    def end(self, name: str, ticket: str) -> None:
        """Ends a machine and what runs on it, also while it is being started."""
        with _told():
            # Tickets are taken as prefixes: an empty one would be anybody's.
            launches = [ticket] if ticket else [each.request_id for each in self._request(name, "")]
            if launches:
                sky.get(sky.api_cancel(launches, silent=True))
        try:
            sky.get(sky.down(name))
        except sky.exceptions.ClusterDoesNotExist:
            return
        except Exception as error:
            raise _trouble(error) from error

    def ssh_address(self, name: str) -> SshAddress:
        """Where it can be reached."""
        with _told():
            found = sky.get(sky.status([name], _include_credentials=True))
        if not found:
            raise FallbackError(f"machine {name} is not there any more")
        handle, credentials = found[0]["handle"], found[0]["credentials"] or {}
        if handle is None or not handle.head_ip or not credentials:
            raise FallbackError(f"machine {name} takes no SSH connections")
        return SshAddress(
            handle.head_ip,
            handle.head_ssh_port or SSH_PORT,
            credentials["ssh_user"],
            Path(credentials["ssh_private_key"]).expanduser(),
            credentials.get("ssh_proxy_command"),
        )


@contextmanager
def _told() -> Iterator[None]:
    """SkyPilot has a hundred exceptions of its own, and passes on those of clouds."""
    try:
        yield
    except Exception as error:
        raise _trouble(error) from error


def _trouble(error: Exception) -> FallbackError:
    return FallbackError(f"SkyPilot: {type(error).__name__}: {str(error)[:SHOWN_CHARACTERS]}")


def _reason(error: object) -> str:
    """The text of an error as the API server keeps it: JSON."""
    try:
        return str(json.loads(str(error))["message"])[:SHOWN_CHARACTERS]
    except (ValueError, TypeError, LookupError):
        return str(error)[:SHOWN_CHARACTERS]


def _keep_runpod_key(api_key: str) -> None:
    """SkyPilot's server reads the key from RunPod's own file."""
    path = RUNPOD_CONFIG.expanduser()
    content = f"[default]\napi_key = {json.dumps(api_key)}\n"
    try:
        if path.exists() and json.dumps(api_key) not in path.read_text():
            raise FallbackError(f"{path} has another api_key; change it there, or give none here")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
            with os.fdopen(descriptor, "w") as file:
                file.write(content)
    except OSError as error:
        raise FallbackError(f"{path} cannot be written: {error}") from error
