"""Uploads say their length, go exactly where they are told, and return a bounded answer."""

from pathlib import Path

import pytest

from compute_horde_common.transfer.errors import (
    MissingFile,
    TransferTimedOut,
    UnsafePath,
    UploadFailed,
)
from compute_horde_common.transfer.guard import AddressGuard
from compute_horde_common.transfer.send import Sender, UploadResult
from compute_horde_common.transfer.tree import Folder
from tests.transfer.conftest import Answer, Web

OPEN = AddressGuard(allow_private=True)


@pytest.fixture
def result(folder: Folder) -> Folder:
    with folder.open_file("sub/result.txt", "wb") as target:
        target.write(b"result")
    return folder


async def put(
    web: Web,
    folder: Folder,
    path: str = "sub/result.txt",
    within: float = 20,
    headers: dict[str, str] | None = None,
) -> UploadResult:
    async with Sender(OPEN, max_body_bytes=10) as sender:
        return await sender.put(f"{web.url}/x?sig=1", folder, path, within=within, headers=headers)


async def test_put_sends_the_file_with_its_length(web: Web, result: Folder) -> None:
    web.will_say(200, b"stored", ETag='"e"')

    answer = await put(web, result)

    assert (answer.headers["etag"], answer.body, answer.truncated) == ('"e"', "stored", False)
    request = web.requests[0]
    assert (request.method, request.target, request.body) == ("PUT", "/x?sig=1", b"result")
    assert request.headers["content-length"] == "6"
    assert "transfer-encoding" not in request.headers


async def test_signed_headers_are_sent_but_cannot_reframe(web: Web, result: Folder) -> None:
    web.will_say(200)

    await put(web, result, headers={"X-Amz-Acl": "private", "Content-Length": "1", "Host": "other"})

    headers = web.requests[0].headers
    assert headers["x-amz-acl"] == "private"
    assert headers["content-length"] == "6"
    assert headers["host"] == f"127.0.0.1:{web.port}"


async def test_a_header_with_a_line_break_is_refused(web: Web, result: Folder) -> None:
    web.will_say(200)

    with pytest.raises(UploadFailed, match="headers"):
        await put(web, result, headers={"x": "a\r\nb: c"})
    assert web.requests == []


async def test_post_sends_a_form_with_the_file_last(web: Web, result: Folder) -> None:
    web.will_say(204)

    async with Sender(OPEN) as sender:
        await sender.post(
            web.url, result, "sub/result.txt", within=20, form_fields={"key": "k", 'a"b': "ü"}
        )

    request = web.requests[0]
    boundary = request.headers["content-type"].partition("boundary=")[2]
    parts = request.body.split(f"--{boundary}".encode())
    assert parts[1] == b'\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n'
    assert b'name="a%22b"\r\n\r\n\xc3\xbc\r\n' in parts[2]
    assert b'name="file"; filename="result.txt"' in parts[3]
    assert parts[3].endswith(b"\r\n\r\nresult\r\n")
    assert parts[4] == b"--\r\n"


async def test_a_long_answer_is_cut(web: Web, result: Folder) -> None:
    web.will_say(200, b"0123456789abc")

    answer = await put(web, result)

    assert (answer.body, answer.truncated) == ("0123456789", True)


async def test_a_busy_server_gets_the_whole_file_again(web: Web, result: Folder) -> None:
    web.will_say(503)
    web.will_say(200)

    await put(web, result)

    assert [request.body for request in web.requests] == [b"result", b"result"]


async def test_three_tries_are_all(web: Web, result: Folder) -> None:
    web.will_say(500)

    with pytest.raises(UploadFailed) as failed:
        await put(web, result)
    assert failed.value.status == 500
    assert len(web.requests) == 3


async def test_a_refusal_is_told_at_once_and_without_secrets(web: Web, result: Folder) -> None:
    web.will_say(403, b"<Error>StringToSign secret</Error>")

    with pytest.raises(UploadFailed) as failed:
        await put(web, result)
    assert str(failed.value) == f"{web.url}/x: the server answered 403"
    assert len(web.requests) == 1


async def test_redirects_are_not_followed(web: Web, result: Folder) -> None:
    web.will_say(307, Location="/elsewhere")

    with pytest.raises(UploadFailed) as failed:
        await put(web, result)
    assert failed.value.status == 307
    assert len(web.requests) == 1


async def test_a_silent_server_is_left_at_the_deadline(web: Web, result: Folder) -> None:
    web.answers.append(Answer(b"", silent=True))

    with pytest.raises(TransferTimedOut):
        await put(web, result, within=0.2)


async def test_a_file_that_was_never_written_is_named(web: Web, folder: Folder) -> None:
    with pytest.raises(MissingFile):
        await put(web, folder, "sub/result.txt")


async def test_a_link_in_the_output_is_not_sent(web: Web, folder: Folder, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    (folder.path / "leak").symlink_to(secret)

    with pytest.raises(UnsafePath):
        await put(web, folder, "leak")
    assert web.requests == []


async def test_a_large_file_is_streamed_whole(web: Web, folder: Folder) -> None:
    web.will_say(200)
    with folder.open_file("big", "wb") as target:
        target.write(b"x" * 3_000_000)

    await put(web, folder, "big")

    assert len(web.requests[0].body) == 3_000_000
