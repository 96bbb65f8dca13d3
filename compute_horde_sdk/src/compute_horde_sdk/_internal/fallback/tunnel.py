"""A port of this machine that leads to a port of a rented one."""

import asyncio
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

from compute_horde_common.clock import Clock
from compute_horde_sdk._internal.fallback.cloud import SshAddress
from compute_horde_sdk._internal.fallback.exceptions import FallbackError
from compute_horde_sdk._internal.time_limit import TimeLimit

LOCALHOST = "127.0.0.1"
JOB_PORT = 8000
OPEN_SECONDS = 30.0
LOOK_SECONDS = 0.1
END_SECONDS = 5


class Tunnel:
    """An ssh process. A machine's host key is taken when it is first seen, and held to later."""

    def __init__(self, address: SshAddress, local_port: int, known_hosts: Path) -> None:
        self.local_port = local_port
        self._process = _started(address, local_port, known_hosts)

    async def opened(self, clock: Clock) -> None:
        """Returns when connections are taken.

        Raises:
            FallbackError: ssh has ended, or takes too long.
        """
        limit = TimeLimit(OPEN_SECONDS, clock)
        while not await _takes_connections(self.local_port):
            if self._process.poll() is not None:
                complaint = self._complaint()
                self.close()
                raise FallbackError(f"the tunnel to the job failed: {complaint}")
            if limit.left <= 0:
                self.close()
                raise FallbackError(f"the tunnel to the job was not open in {OPEN_SECONDS} seconds")
            await clock.sleep_until(clock.now() + timedelta(seconds=LOOK_SECONDS))

    @property
    def is_open(self) -> bool:
        """Whether ssh still runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """Ends it."""
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _complaint(self) -> str:
        said = self._process.stderr.read() if self._process.stderr is not None else b""
        return said.decode(errors="replace").strip()[-500:] or "ssh says nothing"


def _started(address: SshAddress, local_port: int, known_hosts: Path) -> "subprocess.Popen[bytes]":
    ssh = shutil.which("ssh")
    if ssh is None:
        raise FallbackError("there is no ssh on this machine; install an OpenSSH client")
    options = {
        "BatchMode": "yes",
        "ExitOnForwardFailure": "yes",
        "IdentitiesOnly": "yes",
        "ServerAliveInterval": "15",
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": str(known_hosts),
        **({"ProxyCommand": address.proxy_command} if address.proxy_command else {}),
    }
    command = [
        *(ssh, "-F", "/dev/null", "-N", "-i", str(address.key), "-p", str(address.port)),
        *("-L", f"{LOCALHOST}:{local_port}:{LOCALHOST}:{JOB_PORT}"),
        *(part for name, value in options.items() for part in ("-o", f"{name}={value}")),
        f"{address.user}@{address.host}",
    ]
    return subprocess.Popen(  # noqa: S603 - all of it is ours or SkyPilot's
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


async def _takes_connections(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOCALHOST, port)
    except OSError:
        return False
    writer.close()
    return True
