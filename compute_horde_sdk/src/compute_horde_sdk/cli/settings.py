"""Who asks which facilitator, as whom: a profile in a file, below variables, below flags.

Nothing secret is kept: a profile names a wallet, whose files stay where they are. Tokens are asked
for by each command.
"""

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from compute_horde_sdk.cli.trouble import WrongUsage

if TYPE_CHECKING:
    from bittensor_wallet import Keypair

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if sys.platform != "win32":
    import fcntl

DEFAULT_PROFILE = "default"
PROFILE_VARIABLE = "HORDE_PROFILE"
SDK_FACILITATOR_VARIABLE = "COMPUTE_HORDE_FACILITATOR_URL"
DEFAULT_WALLET = "default"
DEFAULT_WALLET_PATH = "~/.bittensor/wallets"
_HEADER = "# Profiles of the horde command line. No secrets: keys stay in their wallets.\n"

Profiles = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Settings:
    """What a command was told; ``None`` where nobody said anything.

    ``job_class`` and ``namespace`` are what jobs get that do not name theirs.
    """

    facilitator_url: str | None = None
    validator: str | None = None
    wallet: str | None = None
    hotkey: str | None = None
    wallet_path: str | None = None
    job_class: str | None = None
    namespace: str | None = None

    def below(self, above: "Settings") -> "Settings":
        """These, but for what the other ones say."""
        said = {key: value for key in KEYS if (value := getattr(above, key))}
        return replace(self, **said)

    @property
    def hotkey_file(self) -> Path:
        """Where the hotkey should be, as bittensor lays wallets out."""
        folder = expanded(self.wallet_path or DEFAULT_WALLET_PATH)
        return folder / (self.wallet or DEFAULT_WALLET) / "hotkeys" / (self.hotkey or "default")


KEYS = tuple(field.name for field in fields(Settings))


def variable(key: str) -> str:
    """The environment variable of a setting."""
    return "HORDE_CLASS" if key == "job_class" else f"HORDE_{key.upper()}"


def config_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Where profiles are kept."""
    folder = environment.get("XDG_CONFIG_HOME") or "~/.config"
    return expanded(folder) / "horde" / "config.toml"


def expanded(folder: str) -> Path:
    """A folder, below the home of a user where it begins with ``~``.

    Raises:
        WrongUsage: nobody knows where that home is.
    """
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise WrongUsage(
            f"the home folder in {folder} is not known", "Set HOME or XDG_CONFIG_HOME."
        ) from error


def profile_name(chosen: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """Which profile counts."""
    return chosen or environment.get(PROFILE_VARIABLE) or DEFAULT_PROFILE


def resolved(
    flags: Settings,
    profile: str | None,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """What counts for a command.

    Raises:
        WrongUsage: there is no such profile, or the file is no good.
    """
    profiles = read_profiles(config_file(environment))
    name = profile_name(profile, environment)
    if name not in profiles and name != DEFAULT_PROFILE:
        known = ", ".join(sorted(profiles)) or "none"
        raise WrongUsage(
            f"there is no profile {name!r} (there are: {known})",
            f"Make it with: horde login --profile {name}",
        )
    kept = Settings(**profiles.get(name, {}))
    return kept.below(from_variables(environment)).below(flags)


def from_variables(environment: Mapping[str, str] = os.environ) -> Settings:
    """What variables say."""
    said = {key: environment.get(variable(key)) or None for key in KEYS}
    of_the_sdk = Settings(facilitator_url=environment.get(SDK_FACILITATOR_VARIABLE))
    return of_the_sdk.below(Settings(**said))


def read_profiles(path: Path) -> Profiles:
    """All profiles of a file; none where there is no file.

    Raises:
        WrongUsage: it cannot be understood.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WrongUsage(
            f"{path} cannot be read: {error}", "Correct it, or remove it and run: horde login"
        ) from error
    return {name: _profile(path, name, table) for name, table in tables.items()}


def save_profile(path: Path, name: str, settings: Settings) -> None:
    """Adds a profile to the file, or replaces it. Only the user can read the file.

    Raises:
        WrongUsage: the file cannot be written, or is no good.
    """
    kept = {key: value for key in KEYS if (value := getattr(settings, key))}
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path.with_suffix(".lock")):
            profiles = {**read_profiles(path), name: kept}
            text = _HEADER + "".join(_toml_table(*profile) for profile in sorted(profiles.items()))
            handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
            with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - it is open already
                file.write(text)
            Path(draft).replace(path)
    except OSError as error:
        raise WrongUsage(
            f"{path} cannot be written: {error.strerror}",
            "Set XDG_CONFIG_HOME to a folder that can, or use the HORDE_... variables.",
        ) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lets one process at a time in; on Windows all."""
    with path.open("a") as file:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def opened_hotkey(settings: Settings) -> "Keypair":
    """The hotkey that signs.

    Raises:
        WrongUsage: there is none, or it cannot be opened.
    """
    file = settings.hotkey_file
    if not file.is_file():
        raise WrongUsage(f"there is no hotkey file {file}", _where_hotkeys_are(settings))
    bittensor_wallet = importlib.import_module("bittensor_wallet")
    wallet = bittensor_wallet.Wallet(
        name=file.parent.parent.name, hotkey=file.name, path=str(file.parent.parent.parent)
    )
    try:
        if not wallet.hotkey_file.is_encrypted():
            keypair: Keypair = wallet.hotkey
            return keypair
    except Exception as error:
        # The wallet library has errors of its own, one of which even claims to be a builtin.
        raise WrongUsage(
            f"{file} is no hotkey file: {error}", "Choose another with --wallet and --hotkey."
        ) from error
    raise WrongUsage(
        f"the hotkey {file} is encrypted", "Use a hotkey without a password: it signs each request."
    )


def _where_hotkeys_are(settings: Settings) -> str:
    folder = expanded(settings.wallet_path or DEFAULT_WALLET_PATH)
    found = sorted(f"{path.parent.parent.name}/{path.name}" for path in folder.glob("*/hotkeys/*"))
    hotkeys = [name for name in found if not name.endswith("pub.txt")]
    if not hotkeys:
        return (
            f"Run `horde login`. There are no hotkeys in {folder}: name another folder with"
            " --wallet-path, or make one with btcli (pip install bittensor-cli)."
        )
    names = ", ".join(hotkeys[:10])
    return f"Run `horde login`, or choose with --wallet and --hotkey: {folder} has {names}."


def _profile(path: Path, name: str, table: object) -> dict[str, str]:
    if not isinstance(table, dict):
        raise WrongUsage(f"{path}: {name} stands outside of a profile", "Put it below [default].")
    for key, value in table.items():
        if key not in KEYS:
            raise WrongUsage(
                f"{path}: profile {name} has an unknown key {key!r}", f"Known: {', '.join(KEYS)}."
            )
        if not isinstance(value, str):
            raise WrongUsage(f"{path}: {key} of profile {name} is no text", "Put it in quotes.")
    return table


def _toml_table(name: str, profile: Mapping[str, str]) -> str:
    # The strings of JSON are strings of TOML.
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in profile.items()]
    return "\n".join(["", f"[{json.dumps(name)}]", *lines, ""])
