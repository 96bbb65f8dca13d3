"""The executor's conversation with its miner, each job in a real container."""

import base64
from dataclasses import replace

from pydantic import BaseModel

from compute_horde_common.jobs.failures import HordeFailure, JobFailure
from compute_horde_common.jobs.timing import Limits
from compute_horde_common.protocol.validator_miner import (
    ExecutionDone,
    ExecutorReady,
    GenericError,
    HordeFailed,
    JobFailedReport,
    JobFinished,
    MachineSpecs,
    VolumesReady,
)
from tests.stand import JOB, Stand, inline, offer, start


def job_failure(report: BaseModel) -> JobFailure:
    assert isinstance(report, JobFailedReport)
    return report.failure()


def horde_failure(report: BaseModel) -> HordeFailure:
    assert isinstance(report, HordeFailed)
    return report.failure()


async def test_a_good_job_is_told_stage_by_stage(stand: Stand) -> None:
    said = await stand.talk(offer(), start("echo out; echo err >&2"))

    specs = said[3]
    assert isinstance(specs, MachineSpecs)
    assert set(specs.specs["specs"]) >= {"cpu", "ram", "hard_disk", "os", "gpu"}
    assert said == [
        ExecutorReady(job_uuid=JOB),
        VolumesReady(job_uuid=JOB),
        ExecutionDone(job_uuid=JOB),
        specs,
        JobFinished(
            job_uuid=JOB,
            docker_process_stdout="out\n",
            docker_process_stderr="err\n",
            artifacts={},
            upload_results={},
        ),
    ]


async def test_nothing_is_left_of_a_job(stand: Stand) -> None:
    await stand.run("mkdir -p /output/a/b; echo x > /output/a/b/c; chmod 0 /output/a")

    assert await stand.left() == ([], [])


async def test_a_job_gets_arguments_variables_and_inputs_and_gives_artifacts(stand: Stand) -> None:
    script = 'cat /volume/in/greeting > /results/f; echo "$WHO $0" >> /results/f'

    finished = await stand.run(
        "",
        docker_run_cmd=["sh", "-c", script, "me"],
        env={"WHO": "you and"},
        volume=inline({"greeting": "hello "}, "in"),
        artifacts_dir="/results/",
    )

    assert isinstance(finished, JobFinished)
    assert finished.artifacts == {"/results/f": base64.b64encode(b"hello you and me\n").decode()}


async def test_a_script_is_what_runs_where_there_is_no_command(stand: Stand) -> None:
    finished = await stand.run(
        "", docker_run_cmd=["sh", "/script.py"], raw_script="echo from a script"
    )

    assert isinstance(finished, JobFinished)
    assert finished.docker_process_stdout == "from a script\n"


async def test_what_artifacts_are_left_out_stands_at_the_end_of_stderr(stand: Stand) -> None:
    script = (
        "cd /a; echo ok > ok; truncate -s 2000000 big; ln -s /etc/passwd link; mkdir dir;"
        " mkfifo pipe; echo -n err >&2"
    )

    finished = await stand.run(script, artifacts_dir="/a")

    assert isinstance(finished, JobFinished)
    assert list(finished.artifacts or {}) == ["/a/ok"]
    assert finished.docker_process_stderr == (
        "err\n"
        "[compute-horde] artifact /a/big left out:"
        " 2000000 bytes; each must have less than 1000000\n"
        "[compute-horde] artifact /a/link left out: only plain files are returned (link)\n"
        "[compute-horde] artifact /a/pipe left out:"
        " only plain files are returned (special)\n"
    )


async def test_an_exit_status_comes_with_the_output(stand: Stand) -> None:
    failure = job_failure(await stand.run("echo so far; echo bad >&2; exit 3"))

    assert failure == JobFailure(
        reason="nonzero_return_code",
        stage="execution",
        message="The job exited with status 3",
        docker_process_exit_status=3,
        docker_process_stdout="so far\n",
        docker_process_stderr="bad\n",
    )


async def test_long_output_keeps_its_beginning_and_its_end(stand: Stand) -> None:
    finished = await stand.run(
        "echo first; yes $(printf '%01000d') | head -c 3000000; echo; echo last"
    )

    assert isinstance(finished, JobFinished)
    out = finished.docker_process_stdout
    assert (len(out), out[:6], out[-5:]) == (1_000_005, "first\n", "last\n")


async def test_a_program_that_does_not_exist_fails_the_job(stand: Stand) -> None:
    failure = job_failure(await stand.run("", docker_run_cmd=["/no/such/program"]))

    assert (failure.reason, failure.stage) == ("nonzero_return_code", "execution")
    assert "/no/such/program" in failure.message


async def test_a_job_over_its_memory_is_named_so(stand: Stand) -> None:
    failure = job_failure(await stand.run("echo begun; tail /dev/zero"))

    assert (failure.reason, failure.context) == ("nonzero_return_code", {"oom_killed": True})
    assert failure.docker_process_stdout == "begun\n"


async def test_a_job_over_its_time_gives_what_it_wrote_so_far(stand: Stand) -> None:
    limits = Limits(download=10, execution=1, upload=10)

    failure = job_failure(await stand.run("echo begun; exec tail -f /dev/null", limits))

    assert (failure.reason, failure.stage) == ("timeout", "execution")
    assert failure.docker_process_stdout == "begun\n"
    assert await stand.left() == ([], [])


async def test_an_image_that_cannot_be_had_is_the_jobs_failure(stand: Stand) -> None:
    failure = job_failure((await stand.talk(offer(docker_image="127.0.0.1:9/no/such/image:1")))[-1])

    assert (failure.reason, failure.stage) == ("download_failed", "executor_startup")
    assert "127.0.0.1:9/no/such/image:1" in failure.message


async def test_an_image_that_is_named_only_at_the_start_is_brought_then(stand: Stand) -> None:
    said = await stand.talk(offer(docker_image=None), start("true"))

    assert isinstance(said[-1], JobFinished)


async def test_another_class_than_the_executors_is_refused(stand: Stand) -> None:
    stand.config = replace(stand.config, executor_class="always_on.cpu.8c.16gb")

    said = await stand.talk(offer())

    assert len(said) == 1
    assert horde_failure(said[0]).message == "This executor is not for class always_on.test"


async def test_two_volumes_are_refused(stand: Stand) -> None:
    volume = inline({"a": "b"})

    said = await stand.talk(offer(volume=volume), start("true", volume=volume))

    assert horde_failure(said[-1]).context == {"stage": "volume_download"}


async def test_an_inline_volume_that_is_no_zip_fails_the_download(stand: Stand) -> None:
    failure = job_failure(
        await stand.run("true", volume={"volume_type": "inline", "contents": "YWJj"})
    )

    assert (failure.reason, failure.stage) == ("download_failed", "volume_download")


async def test_a_job_that_is_never_told_ends_by_itself(stand: Stand) -> None:
    limits = Limits(download=0, execution=1, upload=1, leeway=1)

    said = await stand.talk(offer(limits))

    assert [type(message) for message in said] == [ExecutorReady, HordeFailed]


async def test_rubbish_is_answered_and_harms_nothing(stand: Stand) -> None:
    await stand.pipe.send_text("{")
    await stand.pipe.send_text('{"message_type": "V0Whatever"}')

    said = await stand.talk(offer(), start("true"))

    assert isinstance(said[-1], JobFinished)


async def test_what_is_out_of_order_is_complained_about(stand: Stand) -> None:
    await stand.miner.send(start("true"))

    said = await stand.talk(offer(limits=Limits(download=0, execution=1, upload=1, leeway=0)))

    assert said[0] == GenericError(details="no job was offered yet")
