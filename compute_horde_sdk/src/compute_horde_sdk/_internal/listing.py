"""Lists of jobs, page after page."""

from collections.abc import AsyncGenerator, Awaitable, Callable

from compute_horde_sdk._internal.answers import JobBody, PageBody
from compute_horde_sdk._internal.errors import ComputeHordeNotFoundError


async def listed(
    page: Callable[[int], Awaitable[PageBody]], page_size: int
) -> AsyncGenerator[JobBody, None]:
    """All jobs, each once, asked for page by page."""
    # While pages are read, jobs are added, which moves others to later pages, and jobs come to
    # another status than the wanted one, which moves others to earlier pages.
    seen: set[str] = set()
    number, count, has_more = 1, 0, True
    while has_more:
        try:
            found = await page(number)
        except ComputeHordeNotFoundError:
            if number == 1:
                raise
            number -= 1
            continue
        passed_over, count = max(0, count - found.count), found.count
        if passed_over and number > 1:
            number = max(1, number - -(-passed_over // page_size))
            continue
        for body in found.results:
            if body.uuid not in seen:
                seen.add(body.uuid)
                yield body
        number, has_more = number + 1, found.next is not None
