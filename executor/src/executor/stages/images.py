"""The job's image.

One that cannot be had is the job's own fault: its author chose the name, and nobody else can mend
it. The wire's tables call a failed pull a failure of the network, whose text then hides which image
it was and why; here the author reads the registry's own answer.
"""

from compute_horde_common.containers.interface import ContainerEngine, ImageNotFound, PullFailed
from compute_horde_common.jobs.failures import JobFailed, JobFailure, JobFailureReason, Stage


async def bring_image(engine: ContainerEngine, image: str) -> None:
    """Returns once containers can be made of the image; pulls it where it is missing.

    Raises:
        JobFailed: there is no such image, or it did not arrive; ``context`` tells which.
    """
    try:
        if not await engine.has_image(image):
            await engine.pull(image)
    except (ImageNotFound, PullFailed) as failure:
        raise JobFailed(
            JobFailure(
                reason=JobFailureReason.DOWNLOAD_FAILED,
                stage=Stage.EXECUTOR_STARTUP,
                message=f"Image {image[:255]!r} cannot be had: {str(failure)[:1000]}",
                context={"image": image[:255], "found": not isinstance(failure, ImageNotFound)},
            )
        ) from None
