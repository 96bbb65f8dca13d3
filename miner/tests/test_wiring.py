from miner import wiring

GPU_CLASS = "spin_up-4min.gpu-24gb"


def test_an_executor_is_told_what_the_operator_sets_for_it() -> None:
    told = wiring.executor_environment("token", "always_on.test", 1)

    assert told == {
        "JOB_DISK_BYTES": "1000000000",
        "HF_ACCESS_TOKEN": "hf_secret",
        "MINER_ADDRESS": "ws://172.17.0.1:8000",
        "EXECUTOR_TOKEN": "token",
        "EXECUTOR_CLASS": "always_on.test",
        "EXECUTOR_OWNER": wiring.owner(),
        "STARTUP_TIME_LIMIT": "8",
        "ALLOW_PRIVATE_ADDRESSES": "false",
        "DEBUG_NO_GPU_MODE": "false",
        "LOG_LEVEL": "WARNING",
        "LOG_FORMAT": "console",
    }


def test_the_executor_of_a_gpu_slot_is_told_its_share_of_the_gpus() -> None:
    assert wiring.executor_environment("token", GPU_CLASS, 0)["EXECUTOR_GPUS"] == "0,1"
