"""``python -m compute_horde_core.volume`` and ``.output_upload``, as programs and as classes."""

import base64
import io
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from compute_horde_core.output_upload import (
    HttpOutputVolumeResponse,
    MultiUpload,
    OutputUploader,
    OutputUploadFailed,
    SingleFilePutUpload,
)
from compute_horde_core.volume import (
    HuggingfaceVolume,
    MultiVolume,
    SingleFileVolume,
    VolumeDownloader,
    VolumeDownloadFailed,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Web(ThreadingHTTPServer):
    """Serves ``files`` by path, and keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.files: dict[str, bytes] = {}
        self.received: dict[str, bytes] = {}
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self._say(200 if path in self.server.files else 404, self.server.files.get(path, b""))

    def do_PUT(self) -> None:
        self.server.received[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._say(200, b"thanks")

    def do_POST(self) -> None:
        self.do_PUT()

    def log_message(self, *_: object) -> None:
        pass

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def run(module: str, folder: Path, *specs: Any) -> "subprocess.CompletedProcess[str]":  # noqa: ANN401 - any JSON
    files = []
    for number, spec in enumerate(specs):
        files.append(folder.parent / f"spec-{number}.json")
        files[-1].write_text(json.dumps(spec))
    command = [sys.executable, "-m", f"compute_horde_core.{module}", *map(str, files)]
    return subprocess.run(
        [*command, "--dir", str(folder)], capture_output=True, text=True, check=False, timeout=60
    )


def test_volumes_of_every_kind_get_into_a_folder(web: Web, tmp_path: Path) -> None:
    web.files = {"/file": b"file", "/archive": zipped({"a/b.txt": b"zip"})}
    inline = [
        {"volume_type": "inline", "contents": base64.b64encode(data).decode(), "relative_path": at}
        for data, at in ((zipped({"c": b"folder"}), "in"), (b"plain", "in/one.txt"))
    ]
    several = [
        {"volume_type": "single_file", "url": f"{web.url}/file", "relative_path": "data/file"},
        {"volume_type": "zip_url", "contents": f"{web.url}/archive"},
    ]

    done = run(
        "volume",
        tmp_path / "made",
        *inline,
        {"volume_type": "multi_volume", "volumes": several},
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert contents(tmp_path / "made") == {
        "in/c": b"folder",
        "in/one.txt": b"plain",
        "data/file": b"file",
        "a/b.txt": b"zip",
    }


async def test_a_snapshot_of_a_hub_gets_into_a_folder(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = {"id": "team/model", "sha": COMMIT, "siblings": [{"rfilename": "w.bin", "size": 1}]}
    web.files = {
        "/api/models/team/model": json.dumps(info).encode(),
        f"/team/model/resolve/{COMMIT}/w.bin": b"w",
    }
    monkeypatch.setenv("HF_ENDPOINT", web.url)
    volume = MultiVolume(volumes=[HuggingfaceVolume(repo_id="team/model", relative_path="m")])

    await VolumeDownloader.for_volume(volume).download(tmp_path)

    assert contents(tmp_path) == {"m/w.bin": b"w"}


async def test_a_volume_that_is_not_there_is_named(web: Web, tmp_path: Path) -> None:
    volume = SingleFileVolume(url=f"{web.url}/missing", relative_path="x")

    with pytest.raises(VolumeDownloadFailed, match="/missing: the server answered 404"):
        await VolumeDownloader(volume).download(tmp_path)

    assert contents(tmp_path) == {}


def test_files_and_a_zip_of_the_others_are_sent(web: Web, tmp_path: Path) -> None:
    folder = tmp_path / "output"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"a")
    (folder / "b.txt").write_bytes(b"b")
    (folder / "sub" / "c").write_bytes(b"c")
    upload = {
        "output_upload_type": "multi_upload",
        "uploads": [
            {
                "output_upload_type": "single_file_put",
                "url": f"{web.url}/put?sig=1",
                "relative_path": "a.txt",
            },
            {
                "output_upload_type": "single_file_post",
                "url": f"{web.url}/post",
                "form_fields": {"key": "b"},
                "relative_path": "b.txt",
            },
        ],
        "system_output": {"output_upload_type": "zip_and_http_put", "url": f"{web.url}/all"},
    }

    done = run("output_upload", folder, upload)

    assert (done.returncode, done.stderr) == (0, "")
    assert web.received["/put?sig=1"] == b"a"
    assert b'name="key"\r\n\r\nb\r\n' in web.received["/post"]
    assert b'name="file"; filename="b.txt"' in web.received["/post"]
    assert unzipped(web.received["/all"]) == {"sub/c": b"c"}


async def test_answers_to_single_files_are_returned(web: Web, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    upload = MultiUpload(uploads=[SingleFilePutUpload(url=f"{web.url}/a", relative_path="a")])

    (answer,) = (await OutputUploader.for_upload_output(upload).upload(tmp_path)).items()

    assert answer[0] == "a"
    assert isinstance(answer[1], HttpOutputVolumeResponse)
    assert (answer[1].body, answer[1].headers["content-length"]) == ("thanks", "6")


async def test_a_file_that_is_not_there_is_named(web: Web, tmp_path: Path) -> None:
    upload = SingleFilePutUpload(url=f"{web.url}/a", relative_path="a")

    with pytest.raises(OutputUploadFailed, match="There is no file 'a'"):
        await OutputUploader(upload).upload(tmp_path)

    assert web.received == {}


@pytest.mark.parametrize(
    ("module", "spec", "complaint"),
    [
        ("volume", {"volume_type": "tape"}, "tape"),
        ("volume", {"volume_type": "inline", "contents": "%"}, "base64"),
        (
            "output_upload",
            {"output_upload_type": "single_file_put", "url": "http://x", "relative_path": "../x"},
            "relative_path",
        ),
    ],
)
def test_a_program_that_cannot_do_its_work_says_why_and_fails(
    tmp_path: Path, module: str, spec: object, complaint: str
) -> None:
    done = run(module, tmp_path / "folder", spec)

    assert done.returncode == 1
    assert done.stderr.startswith(f"python -m compute_horde_core.{module}: ")
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_without_the_extra_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys, runpy; sys.modules['compute_horde_common.transfer.fetch'] = None;"
        f"sys.argv = ['x', {str(tmp_path / 'spec.json')!r}];"
        "runpy.run_module('compute_horde_core.volume', run_name='__main__')"
    )
    (tmp_path / "spec.json").write_text('{"volume_type": "inline", "contents": ""}')

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 1
    assert 'pip install "compute-horde-sdk[local]"' in done.stderr
