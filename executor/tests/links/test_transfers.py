"""Inputs from and outputs to a web server, as part of a whole conversation."""

import json
from dataclasses import replace

from compute_horde_common.jobs.timing import Limits
from compute_horde_common.protocol.validator_miner import JobFailedReport, JobFinished
from tests.stand import JOB, Stand, Web


def put(web: Web, path: str, name: str) -> dict[str, object]:
    return {"output_upload_type": "single_file_put", "url": web.url(path), "relative_path": name}


async def test_files_by_url_are_there_when_the_job_starts(stand: Stand, web: Web) -> None:
    web.files = {"/a": b"first ", "/b": b"second"}
    volumes = [
        {"volume_type": "single_file", "url": web.url(path), "relative_path": f"in{path}"}
        for path in ("/a", "/b")
    ]

    finished = await stand.run(
        "cat /volume/in/a /volume/in/b", volume={"volume_type": "multi_volume", "volumes": volumes}
    )

    assert isinstance(finished, JobFinished)
    assert finished.docker_process_stdout == "first second"


async def test_a_download_that_is_not_there_fails_with_the_servers_answer(
    stand: Stand, web: Web
) -> None:
    volume = {"volume_type": "zip_url", "contents": web.url("/missing?secret=1")}

    failed = await stand.run("true", volume=volume)

    assert failed == JobFailedReport(
        job_uuid=JOB,
        reason="download_failed",
        stage="volume_download",
        message=f"{web.url('/missing')}: the server answered 404",
    )


async def test_a_download_over_its_time_is_a_timeout(stand: Stand, web: Web) -> None:
    volume = {"volume_type": "single_file", "url": web.url("/silent"), "relative_path": "f"}
    limits = Limits(download=1, execution=5, upload=5, leeway=0)

    failed = await stand.run("true", limits, volume=volume)

    assert isinstance(failed, JobFailedReport)
    assert (failed.reason, failed.stage) == ("timeout", "volume_download")


async def test_inputs_larger_than_the_budget_fail_the_download(stand: Stand, web: Web) -> None:
    stand.config = replace(stand.config, input_bytes=10)
    web.files = {"/f": b"more than ten"}
    volume = {"volume_type": "single_file", "url": web.url("/f"), "relative_path": "f"}

    failed = await stand.run("true", volume=volume)

    assert isinstance(failed, JobFailedReport)
    assert (failed.reason, failed.stage) == ("download_failed", "volume_download")


async def test_private_addresses_are_closed_unless_opened(stand: Stand, web: Web) -> None:
    stand.config = replace(stand.config, allow_private_addresses=False)
    web.files = {"/f": b"secret"}
    volume = {"volume_type": "single_file", "url": web.url("/f"), "relative_path": "f"}

    failed = await stand.run("true", volume=volume)

    assert isinstance(failed, JobFailedReport)
    assert (failed.reason, failed.stage) == ("download_failed", "volume_download")


async def test_uploads_bring_back_what_the_servers_said(stand: Stand, web: Web) -> None:
    upload = {"output_upload_type": "multi_upload", "uploads": [put(web, "/put", "dir/result")]}

    finished = await stand.run(
        "mkdir /output/dir; echo -n data > /output/dir/result", output_upload=upload
    )

    assert isinstance(finished, JobFinished)
    answers = finished.upload_results or {}
    answer = json.loads(answers["dir/result"])
    assert web.received == {"/put": b"data"}
    assert (answer["body"], answer["headers"]["etag"]) == ("got /put", "tag")


async def test_whole_streams_can_be_uploaded(stand: Stand, web: Web) -> None:
    script = "echo said; ln -s /etc/passwd /output/stdout.txt"

    await stand.run(script, output_upload=put(web, "/log", "stdout.txt"))

    assert web.received == {"/log": b"said\n"}


async def test_a_link_is_not_uploaded(stand: Stand, web: Web) -> None:
    failed = await stand.run(
        "echo said; ln -s /etc/passwd /output/f", output_upload=put(web, "/x", "f")
    )

    assert isinstance(failed, JobFailedReport)
    assert (failed.reason, failed.stage) == ("upload_failed", "result_upload")
    assert (failed.docker_process_stdout, web.received) == ("said\n", {})


async def test_an_upload_over_its_time_is_a_timeout(stand: Stand, web: Web) -> None:
    limits = Limits(download=0, execution=3, upload=1, leeway=1)

    failed = await stand.run("echo x > /output/f", limits, output_upload=put(web, "/silent", "f"))

    assert isinstance(failed, JobFailedReport)
    assert (failed.reason, failed.stage) == ("timeout", "result_upload")
