"""The job's image: whether this operator allows it, and how it comes here.

One that cannot be had is the job's own fault: its author chose the name, and nobody else can mend
it. The wire's tables call a failed pull a failure of the network, whose text then hides which image
it was and why; here the author reads the registry's own answer.
"""

from collections.abc import Callable
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path

import structlog
from pydantic import JsonValue

from compute_horde_common.clock import Clock
from compute_horde_common.containers.image_name import DEFAULT_REGISTRY, ImageName
from compute_horde_common.containers.interface import (
    ContainerEngine,
    ImageNotFound,
    PullFailed,
    PullProgress,
    RegistryLogin,
)
from compute_horde_common.containers.registry_logins import login_for
from compute_horde_common.jobs.failures import JobFailed, JobFailure, JobFailureReason, Stage
from compute_horde_common.transfer.errors import StorageFailed
from executor.config import ExecutorConfig
from executor.stages.disk import check_floor

_NAME_SHOWN = 255
_PAUSE = timedelta(seconds=1)

log = structlog.get_logger(__name__)


class _TooLarge(Exception):
    """The image has more bytes than images may have."""


async def bring_image(
    engine: ContainerEngine,
    image: str,
    config: ExecutorConfig,
    clock: Clock,
    tell: Callable[[PullProgress], None] | None = None,
) -> None:
    """Returns once containers can be made of the image; pulls it where it is missing.

    ``tell`` hears of the pull's progress, at most once a second.

    Raises:
        JobFailed: the image is not allowed here, does not exist, is too large, or did not arrive;
            ``context`` tells which.
        StorageFailed: this host's disk is full, or its file of logins cannot be used.
    """
    name = _allowed(image, config)
    if await engine.has_image(name.full):
        return
    watch = _Watch(name.full, config, clock, tell)
    try:
        await engine.pull(name.full, credentials=_login(name, config), watch=watch.hear)
    except ImageNotFound as failure:
        raise _failed(image, str(failure), found=False) from None
    except PullFailed as failure:
        raise _failed(image, str(failure), found=True) from None
    except _TooLarge:
        why = f"it is larger than the {config.image_bytes} bytes that images may have here"
        raise _failed(image, why, found=True, max_bytes=config.image_bytes) from None


def _allowed(image: str, config: ExecutorConfig) -> ImageName:
    try:
        name = ImageName.parse(image)
    except ValueError as fault:
        raise _failed(image, str(fault), found=False) from None
    if _matches(name, config.image_deny):
        raise _failed(image, "this executor's operator denies it", denied=True)
    if config.image_allow and not _matches(name, config.image_allow):
        raise _failed(image, "it is not among those that this executor allows", denied=True)
    if config.image_require_digest and name.digest is None:
        why = "this executor takes only images that are named by digest: name@sha256:..."
        raise _failed(image, why, denied=True)
    return name


def _matches(name: ImageName, patterns: tuple[str, ...]) -> bool:
    """Whether a pattern fits the full name, with or without its tag and digest, or, for Docker Hub,
    the short name that people use.
    """
    spellings = {name.full, name.path}
    if name.registry == DEFAULT_REGISTRY:
        spellings |= {each.removeprefix(f"{DEFAULT_REGISTRY}/") for each in spellings}
        spellings |= {each.removeprefix("library/") for each in spellings}
    return any(fnmatchcase(each, pattern) for each in spellings for pattern in patterns)


def _login(name: ImageName, config: ExecutorConfig) -> RegistryLogin | None:
    if config.registry_credentials is None:
        return None
    try:
        return login_for(name.registry, config.registry_credentials)
    except ValueError as fault:
        raise StorageFailed(f"REGISTRY_CREDENTIALS: {fault}") from None


class _Watch:
    """Follows a pull: ends one that is too large, and passes on how far it is."""

    def __init__(
        self,
        image: str,
        config: ExecutorConfig,
        clock: Clock,
        tell: Callable[[PullProgress], None] | None,
    ) -> None:
        self._image = image
        self._limit = config.image_bytes
        self._disk: Path = config.work_dir
        self._clock = clock
        self._tell = tell
        self._next = clock.now()

    def hear(self, progress: PullProgress) -> None:
        if progress.total > self._limit:
            raise _TooLarge
        now = self._clock.now()
        if now < self._next:
            return
        self._next = now + _PAUSE
        check_floor(self._disk)
        log.info("image on its way", image=self._image, done=progress.done, total=progress.total)
        if self._tell is not None:
            self._tell(progress)


def _failed(image: str, why: str, **context: JsonValue) -> JobFailed:
    shown = image[:_NAME_SHOWN]
    return JobFailed(
        JobFailure(
            reason=JobFailureReason.DOWNLOAD_FAILED,
            stage=Stage.EXECUTOR_STARTUP,
            message=f"Image {shown!r} cannot be had: {why[:1000]}",
            context={"image": shown, **context},
        )
    )
