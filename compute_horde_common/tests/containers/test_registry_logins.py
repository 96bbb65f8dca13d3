import base64
import json
from pathlib import Path

import pytest

from compute_horde_common.containers.interface import RegistryLogin
from compute_horde_common.containers.registry_logins import login_for, registry_logins

AUTH = base64.b64encode(b"somebody:secret:word").decode()
LOGIN = RegistryLogin("somebody", "secret:word")


def file_of(folder: Path, content: object) -> Path:
    file = folder / "config.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("https://index.docker.io/v1/", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("ghcr.io", "ghcr.io"),
        ("https://reg.example.com/v2/", "reg.example.com"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
    ],
)
def test_a_login_is_found_by_its_registry(tmp_path: Path, key: str, registry: str) -> None:
    file = file_of(tmp_path, {"auths": {key: {"auth": AUTH}}, "HttpHeaders": {"a": "b"}})

    assert registry_logins(file) == {registry: LOGIN}


def test_a_token_is_as_good_as_a_password(tmp_path: Path) -> None:
    file = file_of(tmp_path, {"auths": {"ghcr.io": {"auth": "", "identitytoken": "long"}}})

    assert login_for("ghcr.io", file) == RegistryLogin(identity_token="long")


@pytest.mark.parametrize("registry", ["evil.ghcr.io", "ghcr.io.evil", "ghcr.io:5000", "docker.io"])
def test_another_registry_gets_no_login(tmp_path: Path, registry: str) -> None:
    file = file_of(tmp_path, {"auths": {"ghcr.io": {"auth": AUTH}}})

    assert login_for(registry, file) is None


@pytest.mark.parametrize("content", ["", "[]", "{", '{"auths": [1]}', '{"auths": {"x": "secret"}}'])
def test_a_broken_file_is_refused_without_its_content(tmp_path: Path, content: str) -> None:
    with pytest.raises(ValueError, match=r"no config\.json as docker login writes it") as caught:
        registry_logins(file_of(tmp_path, content))

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("entry", [{}, {"auth": "???"}, {"auth": "c2VjcmV0"}])
def test_a_registry_without_its_password_is_told(tmp_path: Path, entry: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="credential helper") as caught:
        registry_logins(file_of(tmp_path, {"auths": {"ghcr.io": entry}}))

    assert "c2VjcmV0" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        registry_logins(tmp_path / "none")


def test_a_login_is_not_shown() -> None:
    assert "secret" not in repr(RegistryLogin("somebody", "secret", "secret"))
