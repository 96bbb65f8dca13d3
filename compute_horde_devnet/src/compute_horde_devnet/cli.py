"""``./dev demo``, ``up``, ``down``, ``status`` and ``logs``."""

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from compute_horde_common.chain.keys import is_ss58
from compute_horde_devnet import demo, engine
from compute_horde_devnet.images import NoJobImage
from compute_horde_devnet.leftovers import remove_leftovers
from compute_horde_devnet.logs import follow
from compute_horde_devnet.network import Network
from compute_horde_devnet.options import NetworkOptions
from compute_horde_devnet.processes import ProcessFailed
from compute_horde_devnet.snippet import explanation
from compute_horde_devnet.state import FILE_NAME, NetworkState, load

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
# A pipe has no width; what is written there need not be folded.
console = Console(width=None if sys.stdout.isatty() else 120)
DEFAULT_DATA = Path(".dev/network")
MARKER = "compute-horde-network"
"""A file that tells a network's folder from any other."""

Data = Annotated[Path, typer.Option(help="Folder for databases, wallets and logs.")]


@app.command(name="demo")
def run_demo(
    slots: Annotated[int, typer.Option(min=1, max=64, help="Executor slots of the miner.")] = 2,
    keep_logs: Annotated[
        Path | None, typer.Option(help="Copy the services' logs to this folder.")
    ] = None,
) -> None:
    """Runs three jobs through the whole network, and takes it down again."""
    data = Path(tempfile.mkdtemp(prefix="compute-horde-demo-"))
    options = NetworkOptions(data=data, slots=slots, die_with_parent=True)
    try:
        with _engine(keep=False), _running(options) as state:
            fine = asyncio.run(demo.run(state, console))
    finally:
        if keep_logs is not None and (data / "logs").exists():
            shutil.copytree(data / "logs", keep_logs, dirs_exist_ok=True)
        shutil.rmtree(data, ignore_errors=True)
    if not fine:
        raise typer.Exit(1)
    console.print("All three jobs came out as they should.", style="bold green")


@app.command()
def up(
    *,
    validators: Annotated[int, typer.Option(min=1, max=8, help="How many validators.")] = 1,
    miners: Annotated[int, typer.Option(min=0, max=16, help="How many miners.")] = 1,
    slots: Annotated[int, typer.Option(min=1, max=64, help="Executor slots of each miner.")] = 2,
    trusted: Annotated[
        bool, typer.Option("--trusted", help="Give each validator a trusted miner.")
    ] = False,
    allow: Annotated[
        list[str] | None, typer.Option(help="Hotkey (SS58) that may submit jobs; repeatable.")
    ] = None,
    port: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=NUMBER, e.g. facilitator=9000 or miner-1=8000; others are free ones."
        ),
    ] = None,
    data: Data = DEFAULT_DATA,
    out: Annotated[
        Path | None, typer.Option(help="Also write the description (JSON) to this file.")
    ] = None,
) -> None:
    """Starts the network and keeps it; `./dev down` ends it."""
    data = data.absolute()
    _make_room(data)
    options = NetworkOptions(
        data=data,
        validators=validators,
        miners=miners,
        slots=slots,
        trusted=trusted,
        allow=tuple(_hotkey(text) for text in allow or []),
        ports=dict(_port(text) for text in port or []),
    )
    with _engine(keep=True):
        network = Network(options, _tell)
        with _undone_on_failure(network):
            state = network.start()
            path = state.save()
    if out is not None:
        shutil.copyfile(path, out)
    console.print(explanation(state, path), highlight=False, soft_wrap=True)


@app.command()
def down(data: Data = DEFAULT_DATA) -> None:
    """Ends the network that `./dev up` started, and removes its data."""
    data = data.absolute()
    state = load(data)
    if state is None:
        console.print(f"Nothing runs from {data}.")
        engine.stop()
        return
    remove_leftovers(state)
    shutil.rmtree(data, ignore_errors=True)
    engine.stop()
    console.print("The network is down.")


@app.command()
def status(data: Data = DEFAULT_DATA) -> None:
    """Shows what is running. Exit status 1 if something that should run does not."""
    state = _state_or_exit(data.absolute())
    table = Table("process", "pid", "state", "memory", "log")
    dead = 0
    for info in state.processes:
        process = info.child().identity.process()
        dead += process is None
        memory = f"{process.memory_info().rss / 1e6:.0f} MB" if process else ""
        state_text = "[green]running" if process else "[red]gone"
        table.add_row(info.name, str(info.pid), state_text, memory, str(info.log))
    console.print(table)
    if dead:
        raise typer.Exit(1)


@app.command()
def logs(
    service: Annotated[
        str, typer.Argument(help="Name of a service or process, e.g. miner-1 or miner-1-web.")
    ] = "",
    *,
    follow_: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing.")] = False,
    lines: Annotated[int, typer.Option(min=0, help="How many lines of each.")] = 20,
    data: Data = DEFAULT_DATA,
) -> None:
    """Prints what services wrote."""
    state = _state_or_exit(data.absolute())
    chosen = [info for info in state.processes if info.name.startswith(service)]
    if not chosen:
        names = ", ".join(info.name for info in state.processes)
        _fail(f'there is no service "{service}". Processes: {names}')
    try:
        follow(chosen, lines=lines, forever=follow_)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


@contextmanager
def _engine(*, keep: bool) -> Iterator[None]:
    try:
        started = engine.ensure()
    except engine.NoEngine as error:
        _fail(str(error))
    try:
        yield
    finally:
        if started and not keep:
            engine.stop()


@contextmanager
def _running(options: NetworkOptions) -> Iterator[NetworkState]:
    network = Network(options, _tell)
    with _undone_on_failure(network):
        yield network.start()
    _undo(network)


@contextmanager
def _undone_on_failure(network: Network) -> Iterator[None]:
    # SIGTERM ends as Ctrl-C does: with everything that was started gone.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except (ProcessFailed, NoJobImage) as error:
        _undo(network)
        _fail(str(error))
    except KeyboardInterrupt:
        _undo(network)
        console.print("Interrupted; everything is stopped.")
        raise typer.Exit(130) from None
    except BaseException:
        _undo(network)
        raise


def _undo(network: Network) -> None:
    # A second Ctrl-C must not leave half of it running.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _tell("stopping everything")
    network.stop()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _tell(phrase: str) -> None:
    console.print(f"[dim]· {phrase}")


def _make_room(data: Path) -> None:
    """A new network begins with an empty folder; what another one left there goes."""
    state = load(data)
    if state is not None:
        if any(info.child().running for info in state.processes):
            _fail(f"a network runs from {data} already; end it with ./dev down")
        remove_leftovers(state)
    if data.exists() and any(data.iterdir()) and not (data / MARKER).exists():
        _fail(f"{data} holds other things than a network; choose an empty folder with --data")
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    (data / MARKER).touch()


def _state_or_exit(data: Path) -> NetworkState:
    state = load(data)
    if state is None:
        _fail(f"nothing runs from {data} (no {FILE_NAME} there); start it with ./dev up")
    return state


def _hotkey(text: str) -> str:
    if not is_ss58(text):
        raise typer.BadParameter(f"{text!r} is no SS58 address", param_hint="--allow")
    return text


def _port(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name or not number.isdigit() or not 0 < int(number) < 1 << 16:
        raise typer.BadParameter(f"{text!r} is not NAME=NUMBER", param_hint="--port")
    return name, int(number)


def _fail(text: str) -> NoReturn:
    console.print(f"[red]{text}", soft_wrap=True, highlight=False)
    sys.exit(1)
