"""Whether the validator's peers take it for one: the facilitator and its trusted miner."""

from contextlib import suppress
from typing import Final

from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.contrib.django.doctor.findings import Finding, fail, ok, warn
from compute_horde_common.links.link import LinkClosed, LinkError
from compute_horde_common.links.websocket import DialFailed
from compute_horde_common.protocol.validator_miner import (
    TRUSTED_MINER_HOTKEY,
    GenericError,
    Manifest,
    UnauthorizedError,
)
from validator.config import ValidatorConfig
from validator.links.dialling import MinerDialler, facilitator_link
from validator.links.facilitator import NotLetIn, authenticate
from validator.links.office import Office
from validator.services import jobs

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 10.0
BUCKETS: Final = (
    "s3_bucket_name_prompts",
    "s3_bucket_name_answers",
    "aws_access_key_id",
    "aws_secret_access_key",
)
"""What belongs together; region and endpoint have defaults."""


async def facilitator_lets_us_in(config: ValidatorConfig, office: Office) -> Finding:
    """Whether it answers and takes us for a validator."""
    url = config.facilitator_uri
    if not await in_database(jobs.link_is_needed)(office.clock.now()):
        return ok(f"{url} is not asked while no new work is taken")
    try:
        async with facilitator_link(url, {}, office.clock) as (link, challenges):
            await authenticate(
                link,
                office,
                challenges=challenges,
                allow_static=config.allow_static_facilitator_auth,
            )
    except NotLetIn as error:
        return fail(
            f"{url} does not let us in: {error}",
            f"It serves the validators with most stake. Its operator can let {office.signer.ss58}"
            " in by `python -m django allow_validator`.",
        )
    except DialFailed as error:
        return fail(str(error), "Check FACILITATOR_URI in .env, and this machine's way out.")
    except LinkError as error:
        return fail(
            f"{url} does not let us in: {error}",
            "FACILITATOR_URI in .env must be a facilitator's websocket: it ends with /ws/v0/.",
        )
    return ok(f"{url} lets us in")


async def trusted_miner_serves_us(config: ValidatorConfig, office: Office) -> Finding:
    """Whether the trusted miner answers and is ours."""
    host, port = config.trusted_miner_address, config.trusted_miner_port
    if host is None and port is None:
        return ok("there is none: jobs that ask for a trusted miner are rejected")
    if host is None or port is None:
        return fail(
            "only one of TRUSTED_MINER_ADDRESS and TRUSTED_MINER_PORT is set",
            "Set both in .env, or none, and run `docker compose up --detach`.",
        )
    dialler = MinerDialler(office.signer.ss58, office.clock)
    where = f"{host} port {port}"
    try:
        async with dialler.link(host, port, CONNECT_SECONDS) as link:
            # Who refuses us may have hung up by now; why, was said before.
            with suppress(LinkClosed):
                await link.send(office.authentication(TRUSTED_MINER_HOTKEY))
            answer = await link.expect(
                Manifest, UnauthorizedError, GenericError, within=ANSWER_SECONDS
            )
    except LinkError as error:
        return fail(
            str(error),
            f"On that machine: is the miner up, and TCP port {port} open to this machine? Then"
            " check TRUSTED_MINER_ADDRESS and TRUSTED_MINER_PORT in .env here.",
        )
    if isinstance(answer, Manifest):
        return _offered(where, answer)
    return fail(
        f"{where} does not serve us: {answer.details}",
        "The miner there must be a local one (IS_LOCAL_MINER=true), with"
        f" LOCAL_MINER_VALIDATOR_PUBLIC_KEY={office.signer.ss58}; the clocks must agree.",
    )


def _offered(where: str, manifest: Manifest) -> Finding:
    counts = ", ".join(f"{name}: {count}" for name, count in manifest.manifest.items())
    if any(manifest.manifest.values()):
        return ok(f"{where} offers {counts}")
    return warn(f"{where} offers no executors", "Run doctor there; it says why.")


async def buckets_are_named(config: ValidatorConfig) -> Finding:
    """Whether what belongs to the S3 buckets is set as a whole."""
    missing = [name.upper() for name in BUCKETS if getattr(config, name) is None]
    if len(missing) == len(BUCKETS):
        return ok("none are set")
    if missing:
        return warn(
            f"{', '.join(missing)} not set, though others of the buckets' variables are",
            "Set all of them in .env, or none, and run `docker compose up --detach`.",
        )
    return ok(f"{config.s3_bucket_name_prompts}, {config.s3_bucket_name_answers}")
