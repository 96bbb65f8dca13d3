"""Jobs and servers that try to get more out of an upload than the job's own files."""

from dataclasses import replace
from pathlib import Path

import pytest

from compute_horde_common.jobs.timing import Limits
from compute_horde_common.protocol.validator_miner import JobFailedReport, JobFinished
from tests.hostile_outputs.server import Server
from tests.stand import Stand

SECRET = "of the host"


def put(url: str, path: str = "f") -> dict[str, object]:
    return {"output_upload_type": "single_file_put", "url": url, "relative_path": path}


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(SECRET)
    return path


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("ln -s {secret} /output/f", "it is no regular file"),
        ("ln -s /etc/passwd /output/f", "it is no regular file"),
        ("ln -s nowhere /output/f", "it is no regular file"),
        ("ln -s f /output/f", "it is no regular file"),
        ("mkfifo /output/f", "it is no regular file"),
        ("mkdir /output/f", "it is no regular file"),
        ("true", "There is no file 'f'"),
    ],
)
async def test_what_is_no_file_of_the_job_is_not_sent(
    stand: Stand, server: Server, secret: Path, script: str, told: str
) -> None:
    report = await stand.run(script.format(secret=secret), output_upload=put(server.url("/ok")))

    assert isinstance(report, JobFailedReport)
    assert (report.reason, report.stage) == ("upload_failed", "result_upload")
    assert told in report.message
    assert server.received == {}


async def test_a_folder_that_is_a_link_is_not_followed(
    stand: Stand, server: Server, secret: Path
) -> None:
    upload = put(server.url("/ok"), f"in/{secret.name}")

    report = await stand.run(f"ln -s {secret.parent} /output/in", output_upload=upload)

    assert isinstance(report, JobFailedReport)
    assert report.reason == "upload_failed"
    assert server.received == {}


async def test_a_device_cannot_even_be_made(stand: Stand) -> None:
    report = await stand.run("mknod /output/f c 1 5; echo $?")

    assert isinstance(report, JobFinished)
    assert report.docker_process_stdout == "1\n"


async def test_a_link_in_place_of_the_log_gets_the_log(
    stand: Stand, server: Server, secret: Path
) -> None:
    script = f"ln -s {secret} /output/stdout.txt; echo hello"

    report = await stand.run(script, output_upload=put(server.url("/ok"), "stdout.txt"))

    assert isinstance(report, JobFinished)
    assert server.received == {"/ok": b"hello\n"}


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/redirect", "the server answered 302"),
        ("/status/403", "the server answered 403"),
        ("/status/413", "the server answered 413"),
        ("/status/500", "the server answered 500"),
        ("/nonsense", "does not speak HTTP"),
        ("/headers", "does not speak HTTP"),
    ],
)
async def test_a_server_that_does_not_take_it_fails_the_upload(
    stand: Stand, server: Server, path: str, told: str
) -> None:
    report = await stand.run("echo x > /output/f", output_upload=put(server.url(path)))

    assert isinstance(report, JobFailedReport)
    assert (report.reason, report.stage) == ("upload_failed", "result_upload")
    assert told in report.message
    assert "/inside" not in server.received


async def test_an_endless_answer_is_cut(stand: Stand, server: Server) -> None:
    report = await stand.run("echo x > /output/f", output_upload=put(server.url("/endless")))

    assert isinstance(report, JobFinished)
    assert len((report.upload_results or {})["f"]) < 70_000


async def test_a_server_that_never_answers_is_given_up_at_the_limit(
    stand: Stand, server: Server
) -> None:
    limits = Limits(download=1, execution=5, upload=1, leeway=0)

    report = await stand.run("echo x > /output/f", limits, output_upload=put(server.url("/silent")))

    assert isinstance(report, JobFailedReport)
    assert (report.reason, report.stage) == ("timeout", "result_upload")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"])
async def test_private_addresses_are_not_spoken_to(stand: Stand, server: Server, host: str) -> None:
    stand.config = replace(stand.config, allow_private_addresses=False)
    url = server.url("/ok").replace("127.0.0.1", host)

    report = await stand.run("echo x > /output/f", output_upload=put(url))

    assert isinstance(report, JobFailedReport)
    assert "at an address that jobs may not reach" in report.message
    assert server.received == {}


async def test_one_bad_upload_does_not_stop_the_others(stand: Stand, server: Server) -> None:
    uploads = [put(server.url("/a"), "missing"), put(server.url("/b"), "f")]

    report = await stand.run(
        "echo x > /output/f",
        output_upload={"output_upload_type": "multi_upload", "uploads": uploads},
    )

    assert isinstance(report, JobFailedReport)
    assert list((report.context or {})["upload_results"]) == ["f"]
    assert list((report.context or {})["failed"]) == ["missing"]
    assert server.received == {"/b": b"x\n"}


async def test_two_uploads_of_one_file_are_two(stand: Stand, server: Server) -> None:
    uploads = [put(server.url("/status/403")), put(server.url("/b"))]

    report = await stand.run(
        "echo x > /output/f",
        output_upload={"output_upload_type": "multi_upload", "uploads": uploads},
    )

    assert isinstance(report, JobFailedReport)
    assert "the server answered 403" in report.message


async def test_a_zip_that_is_refused_does_not_stop_the_others(stand: Stand, server: Server) -> None:
    stand.config = replace(stand.config, output_zip_bytes=10)
    upload = {
        "output_upload_type": "multi_upload",
        "uploads": [put(server.url("/f"))],
        "system_output": {"output_upload_type": "zip_and_http_put", "url": server.url("/zip")},
    }

    report = await stand.run("echo x > /output/f; seq 100 > /output/g", output_upload=upload)

    assert isinstance(report, JobFailedReport)
    assert list((report.context or {})["upload_results"]) == ["f"]
    assert list((report.context or {})["failed"]) == ["system_output"]
    assert server.received == {"/f": b"x\n"}


async def test_a_zip_of_links_and_giants_holds_neither(
    stand: Stand, server: Server, secret: Path
) -> None:
    script = f"cd /output; ln -s {secret} link; ln -s {secret.parent} in; mkfifo p; echo x > f"
    upload = {"output_upload_type": "zip_and_http_put", "url": server.url("/zip")}

    report = await stand.run(script, output_upload=upload)

    assert isinstance(report, JobFinished)
    assert list(report.upload_results or {}) == ["output.zip"]
    assert server.names_in("/zip") == ["f", "stderr.txt", "stdout.txt"]
    assert SECRET.encode() not in server.received["/zip"]
    assert report.docker_process_stderr.splitlines() == [
        "[compute-horde] not in the zip: in: no plain file with a plain name",
        "[compute-horde] not in the zip: link: no plain file with a plain name",
        "[compute-horde] not in the zip: p: no plain file with a plain name",
    ]


async def test_a_giant_with_a_hole_is_refused_before_it_is_packed(
    stand: Stand, server: Server
) -> None:
    stand.config = replace(stand.config, output_zip_bytes=1_000_000)
    upload = {"output_upload_type": "zip_and_http_put", "url": server.url("/zip")}

    report = await stand.run("truncate -s 2M /output/giant", output_upload=upload)

    assert isinstance(report, JobFailedReport)
    assert "more than 1000000 bytes together" in report.message
