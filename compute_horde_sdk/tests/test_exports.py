import inspect
import subprocess
import sys

from compute_horde_sdk import v1

PUBLISHED = {
    "ComputeHordeClient",
    "ComputeHordeError",
    "ComputeHordeHordeFailure",
    "ComputeHordeJob",
    "ComputeHordeJobFailure",
    "ComputeHordeJobRejection",
    "ComputeHordeJobResult",
    "ComputeHordeJobSpec",
    "ComputeHordeJobStatus",
    "ComputeHordeJobStatusEntry",
    "ComputeHordeJobTimeoutError",
    "ComputeHordeNotFoundError",
    "ExecutorClass",
    "HTTPInputVolume",
    "HTTPOutputVolume",
    "HuggingfaceInputVolume",
    "InlineInputVolume",
    "InputVolume",
    "OutputVolume",
}
OURS = {
    "AdaptiveSampling",
    "Comparator",
    "ComputeHordeAPIError",
    "ComputeHordeCancelError",
    "ComputeHordeEndEvent",
    "ComputeHordeJobEvent",
    "ComputeHordeJobFailedError",
    "ComputeHordeJobFields",
    "ComputeHordeJobLogs",
    "ComputeHordeJobProgress",
    "ComputeHordeLogEvent",
    "ComputeHordeLogPage",
    "ComputeHordeLogPiece",
    "ComputeHordeNoPushError",
    "ComputeHordeProgressEvent",
    "ComputeHordeStatusEvent",
    "ComputeHordeSyncClient",
    "ComputeHordeSyncJob",
    "ComputeHordeValidationError",
    "CrossValidation",
    "Difference",
    "Verdict",
    "exact",
    "jobs_needed",
    "json_equal",
}


def test_v1_has_the_published_names_and_a_few_of_ours() -> None:
    public = {
        name
        for name, value in vars(v1).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }

    assert public == PUBLISHED | OURS


def test_arguments_of_the_client_have_the_published_names_order_and_defaults() -> None:
    shapes = {
        name: [
            (each.name, None if each.default is each.empty else each.default)
            for each in inspect.signature(getattr(v1.ComputeHordeClient, name)).parameters.values()
        ][1:]
        for name in ("__init__", "create_job", "run_until_complete", "get_job", "get_jobs")
    }

    assert shapes == {
        "__init__": [
            ("hotkey", None),
            ("compute_horde_validator_hotkey", None),
            ("job_queue", None),
            ("facilitator_url", "https://facilitator.computehorde.io/"),
            ("request_timeout", 15.0),
            ("push", True),
            ("clock", None),
            ("transport", None),
        ],
        "create_job": [
            ("job_spec", None),
            ("on_trusted_miner", False),
            ("run_cross_validation", False),
            ("trusted_output_volumes", None),
            ("fields", None),
        ],
        "run_until_complete": [
            ("job_spec", None),
            ("on_trusted_miner", False),
            ("job_attempt_callback", None),
            ("timeout", None),
            ("max_attempts", 3),
            ("status_callback", None),
        ],
        "get_job": [("job_uuid", None), ("streaming_key", None)],
        "get_jobs": [("page", 1), ("page_size", 10), ("status", None)],
    }


def test_members_of_a_spec_have_the_published_names_and_order() -> None:
    assert list(inspect.signature(v1.ComputeHordeJobSpec).parameters) == [
        "executor_class",
        "job_namespace",
        "docker_image",
        "download_time_limit_sec",
        "execution_time_limit_sec",
        "upload_time_limit_sec",
        "args",
        "env",
        "artifacts_dir",
        "input_volumes",
        "output_volumes",
        "streaming",
        "streaming_start_time_limit_sec",
    ]


def test_errors_are_one_tree() -> None:
    assert issubclass(v1.ComputeHordeNotFoundError, v1.ComputeHordeAPIError)
    assert issubclass(v1.ComputeHordeCancelError, v1.ComputeHordeAPIError)
    assert issubclass(v1.ComputeHordeAPIError, v1.ComputeHordeError)
    assert v1.ComputeHordeJobTimeoutError.__mro__[1:3] == (v1.ComputeHordeError, TimeoutError)
    assert v1.ComputeHordeValidationError.__mro__[1:3] == (v1.ComputeHordeError, ValueError)


def test_statuses_are_equal_to_their_text_and_know_their_place() -> None:
    status = v1.ComputeHordeJobStatus
    ended = {"completed", "rejected", "failed", "horde_failed"}

    assert status.end_states() == ended
    assert {each for each in status if each.is_failed()} == ended - {"completed"}
    assert {each for each in status if each.is_in_progress()} == set(status) - ended
    assert {each for each in status if each.is_successful()} == {"completed"}
    assert {each for each in status if each.is_streaming_ready()} == {"streaming_ready"}


def test_importing_loads_neither_the_streaming_nor_the_wallet_library() -> None:
    code = (
        "import sys, compute_horde_sdk.v1;"
        "print(sorted({'cryptography', 'bittensor_wallet', 'django'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )

    assert found.stdout.strip() == "[]"
