"""Snapshots of a Hugging Face hub's repositories: what is in them, and where to download it.

Requests, answers and errors are the hub client's own; the bytes between it and the hub go through
a job's `Fetcher`. The client is given what has been read so far; where it needs more, it stops, the
page is read, and it starts anew. So nothing that it does blocks, and nothing gets past the guard.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter

import httpx2
from huggingface_hub import HfApi, close_session, hf_hub_url, set_client_factory
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import KernelInfo, RepoSibling
from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]  # is lazy
from typing_extensions import override

from compute_horde_common.jobs.volumes import HuggingfaceVolume
from compute_horde_common.transfer.errors import DownloadFailed, HubRefused, TransferError
from compute_horde_common.transfer.fetch import Fetcher, Page
from compute_horde_common.transfer.tree import components_of

TYPES = ("model", "dataset", "space")

_UNAUTHORISED = frozenset({401, 403})
_TOLD_HEADERS = frozenset({"content-type", "x-error-code", "x-error-message"})
_GATED = "is gated: accept its terms on the hub, and put a token of that account into the volume"


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository. ``url`` names the commit, and the file's SHA-256 if it is known."""

    path: str
    url: str
    size: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Those files of one commit that a volume wants."""

    commit: str
    files: tuple[HubFile, ...]


class Hub:
    """One hub, asked on behalf of one job. ``token`` is for volumes that bring none."""

    def __init__(self, url: str, fetcher: Fetcher, token: str | None) -> None:
        self._url = url.rstrip("/")
        self._fetcher = fetcher
        self._token = token

    def authorization(self, volume: HuggingfaceVolume) -> str | None:
        """The header's value for downloads of this volume. Raises ``HubRefused``."""
        token = volume.token or self._token
        if not token:
            return None
        if not (token.isascii() and token.isprintable()):
            raise HubRefused(f"{_named(volume)}: its token has characters that no token has.")
        return f"Bearer {token}"

    async def snapshot(self, volume: HuggingfaceVolume, *, within: float) -> Snapshot:
        """What the volume wants of the commit that its revision stands for now.

        Raises ``HubRefused``, and what ``Fetcher.read`` raises.
        """
        authorization = self.authorization(volume)
        pages: dict[str, Page] = {}
        while True:
            try:
                return self._read(volume, pages)
            except _UnreadError as unread:
                pages[unread.url] = await self._fetcher.read(
                    unread.url, within=within, authorization=authorization
                )

    def refused(self, volume: HuggingfaceVolume, failure: DownloadFailed) -> TransferError:
        """What to raise where a file of the volume could not be downloaded."""
        if failure.status in _UNAUTHORISED:
            return HubRefused(f"{_named(volume)} {_GATED}.")
        return failure

    def _read(self, volume: HuggingfaceVolume, pages: dict[str, Page]) -> Snapshot:
        # The fetcher says the token; the client is to look for none on this machine.
        api = HfApi(endpoint=self._url, token=False)
        kind = _type(volume)
        set_client_factory(lambda: httpx2.Client(transport=_Pages(pages), trust_env=False))
        with _refusals(volume):
            info = api.repo_info(
                volume.repo_id, repo_type=kind, revision=volume.revision, files_metadata=True
            )
            found = [] if isinstance(info, KernelInfo) else info.siblings or []
            commit = info.sha
            wanted = list(
                filter_repo_objects(
                    found, allow_patterns=volume.allow_patterns, key=attrgetter("rfilename")
                )
            )
            if not commit:
                raise HubRefused(f"{_named(volume)}: the hub does not say which commit that is.")
            files = tuple(self._file(volume.repo_id, kind, commit, each) for each in wanted)
        if not files:
            raise HubRefused(
                f"{_named(volume)}: none of its {len(found)} files matches allow_patterns"
                f" {str(volume.allow_patterns)[:200]}; correct the patterns."
            )
        return Snapshot(commit, files)

    def _file(self, repository: str, kind: str, commit: str, found: RepoSibling) -> HubFile:
        path = "/".join(components_of(found.rfilename))
        url = hf_hub_url(repository, path, repo_type=kind, revision=commit, endpoint=self._url)
        digest = f"#sha256={found.lfs.sha256}" if found.lfs else ""
        return HubFile(path, url + digest, int(found.size or 0))


class _UnreadError(Exception):
    """The client needs a page that has not been read yet."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class _Pages(httpx2.BaseTransport):
    def __init__(self, pages: dict[str, Page]) -> None:
        self._pages = pages

    @override
    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        url = str(request.url)
        if url not in self._pages:
            raise _UnreadError(url)
        page = self._pages[url]
        told = {name: value for name, value in page.headers.items() if name in _TOLD_HEADERS}
        return httpx2.Response(page.status, headers=told, content=page.body)


@contextmanager
def _refusals(volume: HuggingfaceVolume) -> Iterator[None]:
    """Turns what the hub client says into words that say what to do."""
    name = _named(volume)
    try:
        yield
    except GatedRepoError:
        raise HubRefused(f"{name} {_GATED}.") from None
    except DisabledRepoError:
        raise HubRefused(f"{name} is disabled on the hub: use another repository.") from None
    except RevisionNotFoundError:
        raise HubRefused(
            f"{name} does not exist: name a branch, a tag or a commit of the repository."
        ) from None
    except RepositoryNotFoundError:
        raise HubRefused(
            f"{name} is not there, or private: correct repo_id and repo_type, or put a token that"
            " may read it into the volume."
        ) from None
    except HFValidationError:
        raise HubRefused(f"{name}: that is no name of a repository, e.g. owner/name.") from None
    except HfHubHTTPError as failure:
        status = failure.response.status_code
        hint = "correct the volume's token" if status in _UNAUTHORISED else "try again later"
        raise HubRefused(f"{name}: the hub answered {status}; {hint}.") from None
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as failure:
        raise HubRefused(
            f"{name}: the hub's answer is not understood ({type(failure).__name__})."
        ) from None
    finally:
        close_session()


def _type(volume: HuggingfaceVolume) -> str:
    kind = volume.repo_type or "model"
    if kind not in TYPES:
        raise HubRefused(f"{_named(volume)}: repo_type must be one of {', '.join(TYPES)}.")
    return kind


def _named(volume: HuggingfaceVolume) -> str:
    at = f" at revision {volume.revision[:100]!r}" if volume.revision else ""
    return f"Hugging Face {(volume.repo_type or 'model')[:50]} {volume.repo_id[:200]!r}{at}"
