from pathlib import Path

import pytest
from typer.testing import CliRunner

from compute_horde_devnet.cli import app
from compute_horde_devnet.snippet import explanation, sdk_snippet
from compute_horde_devnet.state import (
    AdminLogin,
    ClientInfo,
    NetworkState,
    ServiceInfo,
    WalletInfo,
    load,
)


def service(name: str) -> ServiceInfo:
    return ServiceInfo(
        name=name,
        url=f"http://{name}",
        hotkey=f"{name}'s hotkey",
        admin=AdminLogin(url=f"http://{name}/admin/", username="admin", password=f"{name}-secret"),
        database_url="postgresql://x",
        redis_url="redis://x",
    )


@pytest.fixture
def state(tmp_path: Path) -> NetworkState:
    wallet = WalletInfo(directory=tmp_path, name="client", hotkey_name="default", hotkey="5F")
    return NetworkState(
        data=tmp_path,
        chain_url="ws://chain",
        netuid=12,
        image="image",
        executor_class="always_on.test",
        facilitator=service("facilitator"),
        validators=[service("validator-1")],
        miners=[service("miner-1")],
        client=ClientInfo(wallet=wallet),
        processes=[],
    )


def test_a_description_is_read_back_by_its_owner_alone(state: NetworkState) -> None:
    path = state.save()

    assert load(state.data) == state
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_snippet_is_a_program_for_this_network(state: NetworkState) -> None:
    snippet = sdk_snippet(state)

    compile(snippet, "snippet", "exec")
    assert all(text in snippet for text in ("http://facilitator", "validator-1's hotkey", "image"))


def test_every_panel_is_shown_with_its_login(state: NetworkState) -> None:
    text = explanation(state, state.save())

    for name in ("facilitator", "validator-1", "miner-1"):
        assert f"http://{name}/admin/" in text
        assert f"{name}-secret" in text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["up", "--allow", "alice"], "no SS58 address"),
        (["up", "--port", "facilitator"], "not NAME=NUMBER"),
        (["up", "--port", "facilitator=70000"], "not NAME=NUMBER"),
        (["up", "--slots", "0"], "--slots"),
        (["sideways"], "No such command"),
    ],
)
def test_a_wrong_option_is_named(tmp_path: Path, arguments: list[str], told: str) -> None:
    data = ["--data", str(tmp_path / "network")] if arguments[0] == "up" else []

    result = CliRunner().invoke(app, [*arguments, *data])

    assert result.exit_code == 2
    assert told in result.output


@pytest.mark.parametrize("command", ["status", "logs"])
def test_there_is_nothing_to_look_at_before_up(tmp_path: Path, command: str) -> None:
    result = CliRunner().invoke(app, [command, "--data", str(tmp_path)])

    assert result.exit_code == 1
    assert "./dev up" in result.output


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("years of work")

    result = CliRunner().invoke(app, ["up", "--data", str(tmp_path)])

    assert result.exit_code == 1
    assert "choose an empty folder" in result.output
    assert thesis.read_text() == "years of work"


def test_down_without_a_network_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # it also stops the engine that this checkout may have started

    result = CliRunner().invoke(app, ["down", "--data", str(tmp_path)])

    assert result.exit_code == 0
    assert "Nothing runs" in result.output
