"""Outputs of jobs that ran and failed: they are sent all the same, where there is time."""

import json

from compute_horde_common.jobs.timing import Limits
from compute_horde_common.protocol.validator_miner import ExecutionDone, JobFailedReport
from tests.stand import Stand, Web, offer, start


def put(web: Web, path: str, name: str) -> dict[str, object]:
    return {"output_upload_type": "single_file_put", "url": web.url(path), "relative_path": name}


async def test_outputs_of_a_job_that_exits_with_an_error_are_sent(stand: Stand, web: Web) -> None:
    told = start("echo half > /output/a; exit 3", output_upload=put(web, "/a", "a"))

    said = await stand.talk(offer(), told)

    report = said[-1]
    assert isinstance(report, JobFailedReport)
    assert (report.reason, report.docker_process_exit_status) == ("nonzero_return_code", 3)
    assert web.received == {"/a": b"half\n"}
    assert json.loads((report.context or {})["upload_results"]["a"])["body"] == "got /a"
    assert any(isinstance(message, ExecutionDone) for message in said)


async def test_outputs_of_a_job_that_took_too_long_are_sent(stand: Stand, web: Web) -> None:
    limits = Limits(download=1, execution=1, upload=10)
    told = start("echo half > /output/a; sleep 60", output_upload=put(web, "/a", "a"))

    report = (await stand.talk(offer(limits), told))[-1]

    assert isinstance(report, JobFailedReport)
    assert report.reason == "timeout"
    assert web.received == {"/a": b"half\n"}


async def test_a_failed_job_keeps_its_own_reason_when_its_upload_fails(
    stand: Stand, web: Web
) -> None:
    told = start("exit 3", output_upload=put(web, "/a", "never-written"))

    report = (await stand.talk(offer(), told))[-1]

    assert isinstance(report, JobFailedReport)
    assert report.reason == "nonzero_return_code"
    assert "never-written" in (report.context or {})["upload_failure"]


async def test_a_failed_job_without_uploads_says_nothing_more(stand: Stand) -> None:
    said = await stand.talk(offer(), start("exit 3"))

    assert not any(isinstance(message, ExecutionDone) for message in said)
