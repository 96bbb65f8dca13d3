"""Snapshots of a Hugging Face hub, through its real client."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from compute_horde_common.jobs.volumes import HuggingfaceVolume
from executor.stages.volumes import InputRecord
from tests.filling import Filling, refused
from tests.hub_server import COMMIT, Repository
from tests.servers import Handler, Site, answer, endless, private, versioned

FILES = {"config.json": b"{}", "data/a b.txt": b"text", "weights.bin": b"weights"}


def volume(**changes: object) -> HuggingfaceVolume:
    return HuggingfaceVolume.model_validate({"repo_id": "team/thing", **changes})


@pytest.fixture
def hub(filling: Filling, site: Site) -> Repository:
    filling.configure(hub_url=site.url(""))
    repository = Repository(site)
    repository.add(FILES)
    return repository


async def test_a_model_comes_as_it_is_at_its_commit(filling: Filling, hub: Repository) -> None:
    records = await filling.fill(volume(relative_path="models/one"))

    assert filling.found() == {f"models/one/{path}": FILES[path] for path in FILES}
    assert records == [
        InputRecord(
            kind="huggingface_volume",
            source=hub.url(path),
            path=f"models/one/{path}",
            bytes=len(content),
            etag=f'"{hashlib.sha1(content, usedforsecurity=False).hexdigest()}"',
            commit=COMMIT,
        )
        for path, content in FILES.items()
    ]
    assert hub.site.asked[0] == "/api/models/team/thing?blobs=true"


@pytest.mark.parametrize("kind", ["dataset", "space"])
async def test_datasets_and_spaces_come_too(filling: Filling, site: Site, kind: str) -> None:
    filling.configure(hub_url=site.url(""))
    Repository(site, plural=f"{kind}s", prefix=f"{kind}s/").add({"f": b"1"})

    await filling.fill(volume(repo_type=kind))

    assert filling.found() == {"f": b"1"}


async def test_a_revision_stands_for_its_commit(filling: Filling, hub: Repository) -> None:
    old = replace(hub, commit="f" * 40)
    hub.told_as(answer(404, X_Error_Code="EntryNotFound"))
    old.add({"f": b"old"})
    hub.told_as(hub.site.pages.pop("/api/models/team/thing"), "refs/pr/1")

    records = await filling.fill(volume(revision="refs/pr/1"))

    assert filling.found() == {"f": b"old"}
    assert [record.commit for record in records] == ["f" * 40]
    assert hub.site.asked[0] == "/api/models/team/thing/revision/refs%2Fpr%2F1?blobs=true"


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ("*.json", {"config.json"}),
        (["data/", "*.bin"], {"data/a b.txt", "weights.bin"}),
        ("*", set(FILES)),
    ],
)
async def test_patterns_choose_files(
    filling: Filling, hub: Repository, patterns: object, expected: set[str]
) -> None:
    await filling.fill(volume(allow_patterns=patterns))

    assert set(filling.found()) == expected


@pytest.mark.parametrize("patterns", ["*.zip", [], ""])
async def test_patterns_that_choose_nothing_are_told(
    filling: Filling, hub: Repository, patterns: object
) -> None:
    assert await filling.refusal(volume(allow_patterns=patterns)) == refused(
        "Hugging Face model 'team/thing': none of its 3 files matches allow_patterns"
        f" {patterns}; correct the patterns."
    )


async def test_a_token_is_for_the_hub_and_for_nobody_else(
    filling: Filling, hub: Repository, other_site: Site
) -> None:
    stored = other_site.url("/stored?signature=1", host="localhost")
    other_site.pages["/stored"] = answer(200, b"weights", ETag='"s"')
    hub.add(FILES, large={"weights.bin": answer(302, Location=stored)})
    for path, page in hub.site.pages.items():
        hub.site.pages[path] = private(page, "Bearer hf_secret", answer(401))

    records = await filling.fill(volume(token="hf_secret"))

    assert filling.found() == FILES
    assert records[2] == InputRecord(
        "huggingface_volume",
        hub.url("weights.bin"),
        "weights.bin",
        7,
        hashlib.sha256(b"weights").hexdigest(),
        '"s"',
        COMMIT,
    )
    assert ["authorization" in request.headers for request in other_site.requests] == [False]


async def test_a_redirect_on_the_hub_keeps_the_token(filling: Filling, hub: Repository) -> None:
    moved = private(answer(200, b"weights"), "Bearer t", answer(401))
    hub.add(FILES, large={"weights.bin": answer(307, Location="/elsewhere")})
    hub.site.pages["/elsewhere"] = moved

    await filling.fill(volume(token="t", allow_patterns="*.bin"))

    assert filling.found() == {"weights.bin": b"weights"}


async def test_the_operators_token_is_for_volumes_that_bring_none(
    filling: Filling, hub: Repository
) -> None:
    filling.configure(hub_token="operator")

    await filling.fill(volume(allow_patterns="*.json"))
    await filling.fill(volume(allow_patterns="*.json", token="user"))

    said = [request.headers.get("authorization") for request in hub.site.requests]
    assert said == ["Bearer operator"] * 2 + ["Bearer user"] * 2


async def test_no_token_of_this_machine_is_used(
    filling: Filling, hub: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "of-the-machine")

    await filling.fill(volume())

    assert {request.headers.get("authorization") for request in hub.site.requests} == {None}


async def test_the_hub_learns_nothing_about_this_machine(filling: Filling, hub: Repository) -> None:
    await filling.fill(volume(allow_patterns="*.json"))

    said = {name for request in hub.site.requests for name in request.headers}
    assert said == {"accept", "accept-encoding", "connection", "host", "user-agent"}
    assert {request.headers["user-agent"].partition("/")[0] for request in hub.site.requests} == {
        "python-httpx"
    }


def test_other_jobs_do_not_load_the_hubs_client() -> None:
    loaded = "import sys, executor.stages.inputs as _; print(*sys.modules)"

    modules = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True)

    assert not {b"huggingface_hub", b"httpx", b"httpx2"} & set(modules.stdout.split())


async def test_a_token_that_is_none_is_told(filling: Filling, hub: Repository) -> None:
    assert await filling.refusal(volume(token="a\nb")) == refused(
        "Hugging Face model 'team/thing': its token has characters that no token has."
    )


GATED = "is gated: accept its terms on the hub, and put a token of that account into the volume."
PRIVATE = (
    "is not there, or private: correct repo_id and repo_type, or put a token that may read it into"
    " the volume."
)
SAID_BY_THE_API = [
    (answer(403, X_Error_Code="GatedRepo"), f" {GATED}"),
    (answer(404, X_Error_Code="RepoNotFound"), f" {PRIVATE}"),
    (
        answer(404, X_Error_Code="RevisionNotFound"),
        " does not exist: name a branch, a tag or a commit of the repository.",
    ),
    (
        answer(403, X_Error_Message="Access to this resource is disabled."),
        " is disabled on the hub: use another repository.",
    ),
    (answer(401), ": the hub answered 401; correct the volume's token."),
    (answer(418), ": the hub answered 418; try again later."),
    (answer(200, b"<html>"), ": the hub's answer is not understood (JSONDecodeError)."),
    (answer(200, b"[1]"), ": the hub's answer is not understood (TypeError)."),
    (answer(200, b'{"id": "x"}'), ": the hub does not say which commit that is."),
]


@pytest.mark.parametrize(("page", "message"), SAID_BY_THE_API)
async def test_what_the_hub_refuses_is_told_with_what_to_do(
    filling: Filling, hub: Repository, page: Handler, message: str
) -> None:
    hub.told_as(page, "main")

    assert await filling.refusal(volume(revision="main")) == refused(
        f"Hugging Face model 'team/thing' at revision 'main'{message}"
    )


@pytest.mark.parametrize("status", [401, 403])
async def test_a_gated_file_is_told_with_what_to_do(
    filling: Filling, hub: Repository, status: int
) -> None:
    hub.site.pages[hub.path("weights.bin")] = answer(status, X_Error_Code="GatedRepo")

    failure = await filling.refusal(volume())

    assert failure == refused(f"Hugging Face model 'team/thing' {GATED}")
    assert filling.found() == {}


async def test_a_file_that_is_not_what_the_hub_says_is_refused(
    filling: Filling, hub: Repository
) -> None:
    hub.add({"w": b"right"}, large={"w": answer(200, b"wrong")})

    failure = await filling.refusal(volume())

    assert failure == refused(
        f"{hub.url('w')}: its SHA-256 is {hashlib.sha256(b'wrong').hexdigest()}, not"
        f" {hashlib.sha256(b'right').hexdigest()} as the job wants; correct the digest or the file"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"repo_type": "kernel"}, ": repo_type must be one of model, dataset, space."),
        ({"repo_id": "a/b/c"}, ": that is no name of a repository, e.g. owner/name."),
        ({"repo_id": "../x"}, ": that is no name of a repository, e.g. owner/name."),
    ],
)
async def test_what_no_hub_has_is_told_without_asking(
    filling: Filling, hub: Repository, changes: dict[str, object], message: str
) -> None:
    asked = volume(**changes)

    assert await filling.refusal(asked) == refused(
        f"Hugging Face {asked.repo_type or 'model'} '{asked.repo_id}'{message}"
    )
    assert hub.site.asked == []


async def test_a_repository_beyond_the_budget_is_not_downloaded(
    filling: Filling, hub: Repository
) -> None:
    filling.configure(input_bytes=12)

    failure = await filling.refusal(volume())

    assert failure == refused("The job's data is larger than the 12 bytes it may have in all.")
    assert len(hub.site.asked) == 1


async def test_a_repository_with_too_many_files_is_not_downloaded(
    filling: Filling, hub: Repository
) -> None:
    filling.configure(input_files=3)

    failure = await filling.refusal(volume())

    assert failure == refused(
        "The job's inputs have more than the 3 files and folders they may have in all."
        " Send fewer, e.g. as one file that the job itself unpacks."
    )
    assert len(hub.site.asked) == 1


async def test_a_file_name_that_leads_out_is_refused(filling: Filling, hub: Repository) -> None:
    hub.add({"../x": b"1"})

    assert await filling.refusal(volume()) == refused(
        "Path '../x' is refused: it has the component '..'."
    )


async def test_a_hub_at_a_private_address_is_refused_unless_allowed(
    filling: Filling, hub: Repository
) -> None:
    filling.configure(allow_private_addresses=False)

    assert await filling.refusal(volume()) == refused(
        f"{hub.site.url('/api/models/team/thing')}: the host is at an address that jobs may not"
        " reach (not public)"
    )
    assert hub.site.asked == []


async def test_a_hub_that_is_down_is_asked_three_times(filling: Filling, hub: Repository) -> None:
    hub.told_as(answer(503))

    assert await filling.refusal(volume()) == refused(
        f"{hub.site.url('/api/models/team/thing')}: the server answered 503"
    )
    assert len(hub.site.asked) == 3


async def test_a_list_of_files_without_end_is_refused(filling: Filling, hub: Repository) -> None:
    hub.told_as(endless(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b" " * (1 << 20)))

    assert await filling.refusal(volume()) == refused(
        f"{hub.site.url('/api/models/team/thing')}: the answer is longer than 33554432 bytes"
    )


async def test_the_same_commit_is_not_downloaded_again(
    filling: Filling, hub: Repository, tmp_path: Path
) -> None:
    filling.configure(input_cache=tmp_path / "cache")
    hub.add(FILES, large={"weights.bin": versioned(b"weights", '"w"')})
    first = await filling.fill(volume())
    await filling.next_job()
    said_before = len(hub.site.requests)

    second = await filling.fill(volume())

    assert (filling.found(), second) == (FILES, first)
    assert ["if-none-match" in request.headers for request in hub.site.requests[said_before:]] == [
        False,
        True,
        True,
        True,
    ]


async def test_a_cached_file_is_not_for_those_whom_the_hub_refuses(
    filling: Filling, hub: Repository, tmp_path: Path
) -> None:
    filling.configure(input_cache=tmp_path / "cache")
    for path in FILES:
        page = hub.site.pages[hub.path(path)]
        hub.site.pages[hub.path(path)] = private(page, "Bearer t", answer(403))
    await filling.fill(volume(token="t"))
    await filling.next_job()

    assert await filling.refusal(volume()) == refused(f"Hugging Face model 'team/thing' {GATED}")
    assert filling.found() == {}
