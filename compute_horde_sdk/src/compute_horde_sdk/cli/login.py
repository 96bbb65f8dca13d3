"""``horde login``: who asks which facilitator, tried out and stored."""

import asyncio
import sys
from dataclasses import replace

import typer

from compute_horde_sdk._internal.client import DEFAULT_FACILITATOR_URL
from compute_horde_sdk.cli import printing, settings
from compute_horde_sdk.cli.connection import Connection
from compute_horde_sdk.cli.opening import new_client
from compute_horde_sdk.cli.printing import foreign
from compute_horde_sdk.cli.settings import Settings
from compute_horde_sdk.cli.trouble import CommandFailed, WrongUsage
from compute_horde_sdk.v1 import ComputeHordeAPIError

_QUESTIONS = {
    "facilitator_url": ("Facilitator", DEFAULT_FACILITATOR_URL),
    "validator": ("Hotkey (SS58) of the validator that runs your jobs", None),
    "wallet_path": ("Folder of your wallets", settings.DEFAULT_WALLET_PATH),
    "wallet": ("Wallet", settings.DEFAULT_WALLET),
    "hotkey": ("Its hotkey", "default"),
}


def login(connection: Connection, defaults: Settings) -> None:
    """Asks for what no flag said, logs in, and stores the profile.

    Args:
        connection: what flags said.
        defaults: what jobs get that do not name theirs.

    Raises:
        WrongUsage: something is missing, or no good.
        ComputeHordeError: the facilitator does not let the hotkey in.
    """
    name = settings.profile_name(connection.profile)
    file = settings.config_file()
    kept = Settings(**settings.read_profiles(file).get(name, {}))
    told = kept.below(settings.from_variables()).below(connection.flags)
    chosen = _asked(told, connection.flags) if sys.stdin.isatty() else _defaulted(told)
    chosen = replace(chosen.below(defaults), wallet_path=_absolute(chosen.wallet_path))
    address = asyncio.run(_authenticated(chosen))
    settings.save_profile(file, name, chosen)
    if connection.is_json:
        printing.print_json(
            {
                "profile": name,
                "file": str(file),
                "hotkey_address": address,
                "facilitator_url": chosen.facilitator_url,
                "validator": chosen.validator,
            }
        )
        return
    printing.err().print(
        foreign(f"{address} may use {chosen.facilitator_url}", "green"),
        foreign(f"stored as profile {name} in {file}", "dim"),
        sep="\n",
    )


async def _authenticated(chosen: Settings) -> str:
    async with new_client(chosen) as client:
        try:
            await client.authenticate()
        except ComputeHordeAPIError as error:
            raise CommandFailed(
                f"{chosen.facilitator_url} does not let {client.hotkey.ss58_address} in:"
                f" {error.detail}",
                "Its operator has to allow this hotkey. Nothing was stored.",
            ) from error
        return str(client.hotkey.ss58_address)


def _asked(told: Settings, flags: Settings) -> Settings:
    answers = {
        key: typer.prompt(question, default=getattr(told, key) or default, err=True)
        for key, (question, default) in _QUESTIONS.items()
        if not getattr(flags, key)
    }
    return replace(told, **answers)


def _defaulted(told: Settings) -> Settings:
    if not told.validator:
        raise WrongUsage(
            "no validator is chosen", "Add --validator: the hotkey that is to run your jobs."
        )
    return replace(told, facilitator_url=told.facilitator_url or DEFAULT_FACILITATOR_URL)


def _absolute(folder: str | None) -> str | None:
    return str(settings.expanded(folder).absolute()) if folder else None
