"""Clients of what a user's settings name."""

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from compute_horde_sdk._internal.client import DEFAULT_FACILITATOR_URL, ComputeHordeClient
from compute_horde_sdk.cli.settings import Settings, opened_hotkey
from compute_horde_sdk.cli.trouble import WrongUsage


def new_client(settings: Settings) -> ComputeHordeClient:
    """A client for looking at jobs; creating them needs a validator, too.

    Raises:
        WrongUsage: there is no hotkey.
        ComputeHordeValidationError: a setting cannot be used.
    """
    return ComputeHordeClient(
        opened_hotkey(settings),
        settings.validator or "",
        facilitator_url=settings.facilitator_url or DEFAULT_FACILITATOR_URL,
    )


@asynccontextmanager
async def job_client(settings: Settings, *, is_local: bool) -> AsyncIterator[ComputeHordeClient]:
    """A client for creating jobs, on the network or on this machine.

    Raises:
        WrongUsage: a setting is missing.
    """
    if is_local:
        opened = local_client()
    elif settings.validator:
        opened = new_client(settings)
    else:
        raise WrongUsage(
            "no validator is chosen", "Run `horde login`, or add --validator, or use --local."
        )
    async with opened as client:
        yield client


def local_client() -> ComputeHordeClient:
    """A client that runs jobs on this machine.

    Raises:
        WrongUsage: it is not installed.
    """
    try:
        local = importlib.import_module("compute_horde_sdk.v1.local")
    except ImportError as error:
        raise WrongUsage(
            f"--local is not installed ({error})",
            "Run: pip install 'compute-horde-sdk[cli,local]' (Python 3.11 or later)",
        ) from error
    client: ComputeHordeClient = local.LocalClient()  # it has the same calls
    return client
