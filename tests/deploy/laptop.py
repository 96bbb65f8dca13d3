"""The operator's own machine: a home with an ssh key and wallets, from which the installers run."""

import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from compute_horde_common.chain.keys import Hotkey
from tests.deploy.hosts import Host
from tests.deploy.images import ROOT, run

_PASSED_ON = ("PATH", "LANG")


@dataclass(frozen=True)
class Laptop:
    """``variables`` are what the operator has exported."""

    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    @classmethod
    def bought(cls, home: Path) -> "Laptop":
        """One with a key, that knows no server yet."""
        (home / "tmp").mkdir(parents=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / "key"))
        (home / "ssh_config").write_text(
            f"Host *\n  IdentityFile {home}/key\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {home}/known_hosts\n  GlobalKnownHostsFile /dev/null\n"
        )
        return cls(home)

    @property
    def key(self) -> Path:
        """The private key."""
        return self.home / "key"

    def wallet(self, wallet: str, hotkey: str) -> tuple[Path, Hotkey]:
        """Makes a wallet with a coldkey; its hotkey, and where that is."""
        key, cold = Hotkey.generate(), Hotkey.generate()
        folder = key.write_wallet(self.home / "wallets", wallet, hotkey, coldkey=cold.ss58)
        content = (folder / "hotkeys" / hotkey).read_text()
        (folder / "coldkey").write_text(content.replace(key.ss58, cold.ss58))
        return folder / "hotkeys" / hotkey, key

    def know(self, host: Host) -> None:
        """Accepts the key of a server, as people do when they connect by hand."""
        keys = run("ssh-keyscan", "-T", "20", host.address)
        known = [line for line in keys.splitlines() if not line.startswith("#")]
        with (self.home / "known_hosts").open("a") as file:
            file.write("\n".join(known) + "\n")

    def start(self, script: str, *arguments: str | Path, **more: str) -> subprocess.Popen[str]:
        """Starts an installer."""
        return self._start([str(ROOT / script), *map(str, arguments)], subprocess.DEVNULL, more)

    def _start(self, command: list[str], stdin: int, more: dict[str, str]) -> subprocess.Popen[str]:
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return subprocess.Popen(
            command,
            env={
                **passed_on,
                "HOME": str(self.home),
                "TMPDIR": str(self.home / "tmp"),
                "SSH_OPTIONS": f"-F {self.home}/ssh_config",
                **self.variables,
                **more,
            },
            cwd=self.home,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, script: str, *arguments: str | Path, **more: str) -> tuple[int, str]:
        """Exit status and output of an installer."""
        process = self.start(script, *arguments, **more)
        output, _ = process.communicate()
        return process.returncode, output

    def run_piped(self, script: str, *arguments: str | Path, **more: str) -> tuple[int, str]:
        """The same, as ``curl … | bash -s - ARGUMENTS``."""
        command = ["bash", "-s", "-", *map(str, arguments)]
        more["COMPUTE_HORDE_SOURCE"] = f"file://{ROOT}"
        process = self._start(command, subprocess.PIPE, more)
        output, _ = process.communicate((ROOT / script).read_text())
        return process.returncode, output

    def temporary_files(self) -> list[str]:
        """What is left in its temporary folder."""
        return sorted(path.name for path in (self.home / "tmp").iterdir())


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """What a process prints up to a line with that text."""
    assert process.stdout
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"it never said {text!r}, but:\n{seen}")


def end(process: subprocess.Popen[str], number: signal.Signals) -> int:
    """Ends a process with all that it started, and returns its exit status."""
    os.killpg(process.pid, number)
    process.communicate()
    return process.returncode
