"""The flags that every command has: who asks which facilitator, as whom, and for JSON or not."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from compute_horde_sdk.cli import settings
from compute_horde_sdk.cli.settings import Settings

_PANEL = "Connection (instead of what `horde login` stored)"


@dataclass(frozen=True)
class Connection:
    """What these flags said."""

    profile: str | None
    flags: Settings
    is_json: bool

    @property
    def settings(self) -> Settings:
        """What counts: flags, then variables, then the profile.

        Raises:
            WrongUsage: there is no such profile, or its file is no good.
        """
        return settings.resolved(self.flags, self.profile)


def _option(flag: str, metavar: str, text: str) -> Any:  # noqa: ANN401 - as typer declares it
    return typer.Option(flag, metavar=metavar, help=text, rich_help_panel=_PANEL)


def connection_flags(
    *,
    is_json: Annotated[
        bool, typer.Option("--json", help="Print JSON.", rich_help_panel="Output")
    ] = False,
    profile: Annotated[
        str | None, _option("--profile", "NAME", "Profile of `horde login`. [env: HORDE_PROFILE]")
    ] = None,
    facilitator_url: Annotated[
        str | None,
        _option("--facilitator-url", "URL", "Facilitator. [env: HORDE_FACILITATOR_URL]"),
    ] = None,
    validator: Annotated[
        str | None,
        _option("--validator", "SS58", "Hotkey of the validator for jobs. [env: HORDE_VALIDATOR]"),
    ] = None,
    wallet: Annotated[
        str | None, _option("--wallet", "NAME", "Wallet that signs. [env: HORDE_WALLET]")
    ] = None,
    hotkey: Annotated[
        str | None, _option("--hotkey", "NAME", "Its hotkey. [env: HORDE_HOTKEY]")
    ] = None,
    wallet_path: Annotated[
        str | None, _option("--wallet-path", "FOLDER", "All wallets. [env: HORDE_WALLET_PATH]")
    ] = None,
) -> Connection:
    """What these flags say."""
    said = Settings(
        facilitator_url=facilitator_url,
        validator=validator,
        wallet=wallet,
        hotkey=hotkey,
        wallet_path=wallet_path,
    )
    return Connection(profile, said, is_json)


def with_flags(
    **groups: Callable[..., object],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Puts the flags of functions in the place of parameters, which get what these return."""
    flags = {name: inspect.signature(group).parameters for name, group in groups.items()}

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def told(**values: object) -> None:
            made = {
                name: group(**{flag: values.pop(flag) for flag in flags[name]})
                for name, group in groups.items()
            }
            command(**values, **made)

        parameters = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for own in inspect.signature(command).parameters.values()
            for parameter in flags.get(own.name, {own.name: own}).values()
        ]
        told.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # for typer
        told.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return told

    return decorated


connected = with_flags(connection=connection_flags)
"""Gives a command's parameter ``connection`` what the flags of all commands say."""
