"""Wake-ups within a process, and between two through Redis."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.db import transaction

from compute_horde_common.contrib.django import mailbox
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.contrib.django.embedded import EmbeddedRedis
from compute_horde_common.contrib.django.mailbox import listening, wake, wake_on_commit

AT_ONCE = 0.05
SOON = 10.0
WAKE_ELSEWHERE = """
import django; django.setup()
from compute_horde_common.contrib.django.mailbox import wake
wake("{topic}")
"""


async def wake_in_another_process(topic: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        WAKE_ELSEWHERE.format(topic=topic),
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")


async def test_a_wake_from_any_thread_is_heard() -> None:
    async with listening("mine") as ear:
        thread = threading.Thread(target=wake, args=("mine",))
        thread.start()

        assert await ear.wait(SOON)
        thread.join()


async def test_several_wakes_between_two_waits_are_one() -> None:
    async with listening("mine", "also mine") as ear:
        wake("mine")
        wake("also mine")

        assert (await ear.wait(SOON), await ear.wait(AT_ONCE)) == (True, False)


async def test_other_topics_are_not_heard() -> None:
    async with listening("mine") as ear:
        wake("other")

        assert not await ear.wait(AT_ONCE)


async def test_a_wake_in_another_process_is_heard() -> None:
    async with listening("mine") as ear:
        await wake_in_another_process("mine")

        assert await ear.wait(SOON)


@pytest.mark.django_db(transaction=True)
async def test_a_wake_on_commit_waits_for_the_commit() -> None:
    def in_a_transaction() -> None:
        with transaction.atomic():
            wake_on_commit("mine")
            assert not ear._woken.is_set()

    async with listening("mine") as ear:
        await in_database(in_a_transaction)()

        assert await ear.wait(SOON)


async def test_listening_survives_a_restart_of_redis(
    tmp_path: Path, settings: LazySettings
) -> None:
    redis = EmbeddedRedis(tmp_path, dies_with_us=True)
    redis.start()
    settings.REDIS_URL = redis.url()
    mailbox._switchboards.clear()
    async with listening("mine") as ear:
        redis.stop()
        wake("mine")
        assert await ear.wait(SOON)
        redis.start()

        assert await ear.wait(SOON), "what was lost meanwhile is made up for by one wake"

    redis.stop()
    mailbox._switchboards.clear()
