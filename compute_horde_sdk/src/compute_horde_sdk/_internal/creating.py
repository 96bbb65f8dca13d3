"""Sending jobs to a facilitator."""

import asyncio
import contextlib
import importlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from compute_horde_common.clock import Clock
from compute_horde_common.protocol import rest, signatures
from compute_horde_common.python310 import UTC
from compute_horde_sdk._internal.answers import JobBody, parsed
from compute_horde_sdk._internal.errors import ComputeHordeError, ComputeHordeValidationError
from compute_horde_sdk._internal.hotkey import HotkeySigner
from compute_horde_sdk._internal.http import IDEMPOTENCY_KEY, Facilitator
from compute_horde_sdk._internal.job import ComputeHordeJob
from compute_horde_sdk._internal.spec import ComputeHordeJobSpec, CreateRequest, create_request
from compute_horde_sdk._internal.volumes import OutputVolume

if TYPE_CHECKING:
    from compute_horde_sdk._internal.certificates import StreamingKey

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class _Prepared:
    request: CreateRequest
    key: "StreamingKey | None"


@dataclass(frozen=True)
class Creation:
    """Makes jobs for one validator; ``job_of`` makes one of the facilitator's answer."""

    facilitator: Facilitator
    signer: HotkeySigner
    clock: Clock
    validator_hotkey: str
    job_of: Callable[[JobBody], ComputeHordeJob]

    async def one(self, spec: ComputeHordeJobSpec, *, on_trusted_miner: bool) -> ComputeHordeJob:
        """A job.

        Raises:
            ComputeHordeValidationError: the spec cannot work; nothing was sent.
            ComputeHordeError: the facilitator refused it, or cannot be reached.
        """
        return await self._send(await self._prepared(spec, on_trusted_miner=on_trusted_miner))

    async def both(
        self, spec: ComputeHordeJobSpec, trusted_output_volumes: Mapping[str, OutputVolume] | None
    ) -> ComputeHordeJob:
        """A job, with the same job on the trusted miner as its ``trusted_job``; errors likewise."""
        prepared = await self._prepared(spec, on_trusted_miner=False)
        copy = checked_copy(spec, trusted_output_volumes, self.validator_hotkey)
        prepared_copy = await self._prepared(copy, on_trusted_miner=True)
        job = await self._send(prepared)
        try:
            job.trusted_job = await self._send(prepared_copy)
        except ComputeHordeError:
            # Half of what was wanted is paid for, and is of no use.
            with contextlib.suppress(ComputeHordeError):
                await job.cancel()
            raise
        return job

    async def _prepared(self, spec: ComputeHordeJobSpec, *, on_trusted_miner: bool) -> _Prepared:
        key = await self._new_streaming_key() if spec.streaming else None
        request = create_request(
            spec,
            validator_hotkey=self.validator_hotkey,
            on_trusted_miner=on_trusted_miner,
            client_certificate=key.pem if key else None,
        )
        return _Prepared(request, key)

    async def _send(self, prepared: _Prepared) -> ComputeHordeJob:
        request = prepared.request
        signature = signatures.signed(
            signatures.job_payload(request.signed),
            self.signer,
            timestamp_ns=nanoseconds(self.clock.now()),
        )
        headers = {**rest.signature_headers(signature), IDEMPOTENCY_KEY: str(uuid.uuid4())}
        response = await self.facilitator.post("/job-docker/", request.content, headers)
        job = self.job_of(parsed(JobBody, response))
        if prepared.key is not None:
            job.attach_streaming_key(prepared.key)
        return job

    async def _new_streaming_key(self) -> "StreamingKey":
        certificates = importlib.import_module("compute_horde_sdk._internal.certificates")
        key: StreamingKey = await asyncio.to_thread(
            certificates.new_streaming_key, self.clock.now()
        )
        return key


def checked_copy(
    spec: ComputeHordeJobSpec,
    output_volumes: Mapping[str, OutputVolume] | None,
    validator_hotkey: str,
) -> ComputeHordeJobSpec:
    """The same job for the trusted miner, with uploads of its own, or none.

    Raises:
        ComputeHordeValidationError: it cannot work.
    """
    copy = replace(spec, output_volumes=output_volumes)
    try:
        create_request(
            copy, validator_hotkey=validator_hotkey, on_trusted_miner=True, client_certificate=None
        )
    except ComputeHordeValidationError as error:
        field = error.field.replace("output_volumes", "trusted_output_volumes", 1)
        raise ComputeHordeValidationError(field, error.problem) from error
    return copy


def nanoseconds(at: datetime) -> int:
    """Unix time."""
    return (at - _UNIX_EPOCH) // timedelta(microseconds=1) * 1000
