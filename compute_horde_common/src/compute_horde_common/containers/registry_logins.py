"""The logins of image registries, from the file that ``docker login`` writes."""

import base64
import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from compute_horde_common.containers.image_name import DEFAULT_REGISTRY
from compute_horde_common.containers.interface import RegistryLogin

_DOCKER_HUB = frozenset({"index.docker.io", "registry-1.docker.io", DEFAULT_REGISTRY})


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    auth: str = ""
    identitytoken: str = ""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    auths: dict[str, _Entry] = {}


def login_for(registry: str, file: Path) -> RegistryLogin | None:
    """The login of exactly this registry, ``host`` or ``host:port``; None where it has none.

    Raises:
        ValueError: the file cannot be used. The message says why and holds no secret.
    """
    return registry_logins(file).get(registry)


def registry_logins(file: Path) -> dict[str, RegistryLogin]:
    """All logins, by ``host`` or ``host:port`` of their registry.

    Raises:
        ValueError: the file cannot be used. The message says why and holds no secret.
    """
    try:
        entries = _File.model_validate(json.loads(file.read_bytes())).auths
    except OSError as failure:
        raise ValueError(f"{file} cannot be read: {failure.strerror}") from None
    except ValueError:
        raise ValueError(f"{file} is no config.json as docker login writes it") from None
    try:
        return {_registry(key): _login(entry) for key, entry in entries.items()}
    except ValueError:
        raise ValueError(
            f"{file} has a registry without its password. Perhaps a credential helper keeps it:"
            " log in again without credsStore and credHelpers in that file"
        ) from None


def _registry(key: str) -> str:
    host = key.partition("://")[2] or key
    host = host.partition("/")[0]
    return DEFAULT_REGISTRY if host in _DOCKER_HUB else host


def _login(entry: _Entry) -> RegistryLogin:
    name, _, password = base64.b64decode(entry.auth, validate=True).decode().partition(":")
    if not (name and password) and not entry.identitytoken:
        raise ValueError("no login")
    return RegistryLogin(name, password.rstrip("\0"), entry.identitytoken)
