"""What an executor reads from its environment.

A plain dataclass: pydantic-settings takes longer to import than everything else here together, and
every job pays for its own executor's start.
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from compute_horde_common.containers.labels import job_folder_name
from compute_horde_common.telemetry.logs import LogFormat, LogLevel
from executor import environment as read
from executor.environment import Reader

_GIB = 1 << 30
_SECRETS = frozenset({"EXECUTOR_TOKEN", "HF_ACCESS_TOKEN"})
_DEFAULT_FORMAT: LogFormat = "auto"
_DEFAULT_LEVEL: LogLevel = "info"

ENVIRONMENT: Mapping[str, str] = {
    "MINER_ADDRESS": "the miner's websocket, ws://host:port; required",
    "EXECUTOR_TOKEN": "one-time token that the miner made; required",
    "EXECUTOR_OWNER": "label value by which the owner finds its containers; default: the token",
    "EXECUTOR_CLASS": "the only executor class to take jobs of; default: any",
    "STARTUP_TIME_LIMIT": "seconds from offer to ready; default: by the job's executor class",
    "EXECUTOR_WORK_DIR": "where job files go, also a path on Docker's host; default: /tmp",
    "EXECUTOR_CONTAINER": "name of this executor's own container; default: it runs on the host",
    "EXECUTOR_MEMORY_BYTES": "memory of a job whose class promises none; default: 3/4 of the host",
    "EXECUTOR_CPUS": "CPUs of a job whose class promises none, e.g. 1.5; default: all",
    "EXECUTOR_GPUS": "ids of the GPUs that jobs here may use, separated by commas; default: all",
    "JOB_DISK_BYTES": "disk that a job may fill in all; default: 107374182400",
    "JOB_RUNTIME": "container runtime of jobs, e.g. runsc; default: Docker's own",
    "JOB_USER_NAMESPACE": "refuse jobs unless Docker maps users (userns-remap); default: false",
    "IMAGE_ALLOW": "patterns of images that jobs may use, e.g. docker.io/team/*; default: all",
    "IMAGE_DENY": "patterns of images that jobs may not use; default: none",
    "IMAGE_REQUIRE_DIGEST": "refuse images that are not named by @sha256 digest; default: false",
    "IMAGE_MAX_BYTES": "size of an image on its way here, compressed; default: 53687091200",
    "REGISTRY_CREDENTIALS": "path of a Docker config.json with the logins of registries",
    "VOLUME_MAX_SIZE_BYTES": "all inputs of a job together; default: 2147483648",
    "INPUT_MAX_FILES": "files and folders that a job's inputs may have; default: 20000",
    "INPUT_CACHE_DIR": "where inputs are kept for later jobs; default: none are kept",
    "INPUT_CACHE_BYTES": "size of that cache; default: 53687091200",
    "HF_ENDPOINT": "the Hugging Face hub; default: https://huggingface.co",
    "HF_ACCESS_TOKEN": "token for Hugging Face where a job brings none; default: none",
    "OUTPUT_ZIP_UPLOAD_MAX_SIZE_BYTES": "size of a zip of /output; default: 2147483648",
    "ARTIFACT_MAX_BYTES": "an artifact must have fewer bytes; default: 1000000",
    "ARTIFACTS_MAX_BYTES": "all artifacts of a job together; default: 10485760",
    "STREAMING_PORTS": "port or ports of streaming jobs' TLS server; default: 6000-6999",
    "NGINX_PORT": "the live network's name for STREAMING_PORTS",
    "CANCEL_GRACE_SECONDS": "from SIGTERM to SIGKILL for a cancelled job; default: 2",
    "ALLOW_PRIVATE_ADDRESSES": "let jobs' URLs name private addresses; default: false",
    "DEBUG_NO_GPU_MODE": "run jobs of GPU classes without a GPU; default: false",
    "DOCKER_HOST": "unix:///path or tcp://host:port; default: unix:///var/run/docker.sock",
    "EXTRA_EXECUTOR_CLASSES": "JSON list of executor classes beyond the built-in ones; default: []",
    "LOG_LEVEL": "debug, info, warning or error; default: info",
    "LOG_FORMAT": "json, console or auto, which asks the terminal; default: auto",
}
"""Every variable that is read, with its meaning and default."""


class ConfigurationError(ValueError):
    """The environment is not usable; the message has one line for each fault."""


@dataclass(frozen=True, slots=True)
class ExecutorConfig:
    """How one executor runs; `ENVIRONMENT` says what each value means. ``None`` stands for: decided
    by the job's class, by the host, or not at all."""

    miner_address: str
    token: str
    owner: str
    executor_class: str | None = None
    startup_seconds: int | None = None
    work_dir: Path = Path(tempfile.gettempdir())
    container: str | None = None
    memory_bytes: int | None = None
    cpus: float | None = None
    gpus: tuple[str, ...] = ()
    job_disk_bytes: int = 100 * _GIB
    runtime: str | None = None
    user_namespace: bool = False
    image_allow: tuple[str, ...] = ()
    image_deny: tuple[str, ...] = ()
    image_require_digest: bool = False
    image_bytes: int = 50 * _GIB
    registry_credentials: Path | None = None
    input_bytes: int = 2 * _GIB
    input_files: int = 20_000
    input_cache: Path | None = None
    input_cache_bytes: int = 50 * _GIB
    hub_url: str = "https://huggingface.co"
    hub_token: str | None = None
    output_zip_bytes: int = 2 * _GIB
    artifact_bytes: int = 1_000_000
    artifacts_bytes: int = 10 << 20
    streaming_ports: tuple[int, int] = (6000, 6999)
    cancel_grace_seconds: int = 2
    allow_private_addresses: bool = False
    no_gpu: bool = False
    docker_address: str = "unix:///var/run/docker.sock"
    log_level: LogLevel = "info"
    log_format: LogFormat = "auto"

    @property
    def url(self) -> str:
        """Where the miner waits for this executor. Holds the token: not for logs."""
        return f"{self.miner_address}/v0.1/executor_interface/{self.token}"

    @property
    def job_folder(self) -> Path:
        """Where the job's files are. Named by the token, so that the owner of an executor that was
        killed finds what it left."""
        return self.work_dir / job_folder_name(self.token)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "ExecutorConfig":
        """The configuration in ``environment``, by default the process's own.

        Raises:
            ConfigurationError: with all faults at once.
        """
        found = Reader(os.environ if environment is None else environment, ENVIRONMENT, _SECRETS)
        take = found.optional
        take("EXTRA_EXECUTOR_CLASSES", read.define_classes, None)
        token = found.required("EXECUTOR_TOKEN", read.token)
        one_port = take("NGINX_PORT", read.ports, (6000, 6999))
        config = cls(
            miner_address=found.required("MINER_ADDRESS", read.address),
            token=token,
            owner=take("EXECUTOR_OWNER", str, token),
            executor_class=take("EXECUTOR_CLASS", read.class_name, None),
            startup_seconds=take("STARTUP_TIME_LIMIT", read.positive_int, None),
            work_dir=take("EXECUTOR_WORK_DIR", read.folder, Path(tempfile.gettempdir())),
            container=take("EXECUTOR_CONTAINER", str, None),
            memory_bytes=take("EXECUTOR_MEMORY_BYTES", read.positive_int, None),
            cpus=take("EXECUTOR_CPUS", read.positive_float, None),
            gpus=take("EXECUTOR_GPUS", read.words, ()),
            job_disk_bytes=take("JOB_DISK_BYTES", read.positive_int, 100 * _GIB),
            runtime=take("JOB_RUNTIME", str, None),
            user_namespace=take("JOB_USER_NAMESPACE", read.flag, False),
            image_allow=take("IMAGE_ALLOW", read.words, ()),
            image_deny=take("IMAGE_DENY", read.words, ()),
            image_require_digest=take("IMAGE_REQUIRE_DIGEST", read.flag, False),
            image_bytes=take("IMAGE_MAX_BYTES", read.positive_int, 50 * _GIB),
            registry_credentials=take("REGISTRY_CREDENTIALS", read.file, None),
            input_bytes=take("VOLUME_MAX_SIZE_BYTES", read.positive_int, 2 * _GIB),
            input_files=take("INPUT_MAX_FILES", read.positive_int, 20_000),
            input_cache=take("INPUT_CACHE_DIR", read.folder, None),
            input_cache_bytes=take("INPUT_CACHE_BYTES", read.positive_int, 50 * _GIB),
            hub_url=take("HF_ENDPOINT", read.web_address, "https://huggingface.co"),
            hub_token=take("HF_ACCESS_TOKEN", str, None),
            output_zip_bytes=take("OUTPUT_ZIP_UPLOAD_MAX_SIZE_BYTES", read.positive_int, 2 * _GIB),
            artifact_bytes=take("ARTIFACT_MAX_BYTES", read.positive_int, 1_000_000),
            artifacts_bytes=take("ARTIFACTS_MAX_BYTES", read.positive_int, 10 << 20),
            streaming_ports=take("STREAMING_PORTS", read.ports, one_port),
            cancel_grace_seconds=take("CANCEL_GRACE_SECONDS", read.count, 2),
            allow_private_addresses=take("ALLOW_PRIVATE_ADDRESSES", read.flag, False),
            no_gpu=take("DEBUG_NO_GPU_MODE", read.flag, False),
            docker_address=take("DOCKER_HOST", str, "unix:///var/run/docker.sock"),
            log_level=take("LOG_LEVEL", read.log_level, _DEFAULT_LEVEL),
            log_format=take("LOG_FORMAT", read.log_format, _DEFAULT_FORMAT),
        )
        if found.faults:
            raise ConfigurationError("\n".join(found.faults))
        return config
