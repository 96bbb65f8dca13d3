"""Artifacts that are anything but a few small files."""

from pathlib import Path

import pytest

from compute_horde_common.protocol.validator_miner import JobFinished
from tests.stand import Stand


async def collected(stand: Stand, script: str) -> tuple[set[str], str]:
    """The names of the artifacts, and what is said of the others."""
    report = await stand.run(f"cd /a; {script}", artifacts_dir="/a")
    assert isinstance(report, JobFinished)
    return set(report.artifacts or {}), report.docker_process_stderr


async def test_files_in_sub_directories_come_back(stand: Stand) -> None:
    found = await collected(stand, "mkdir -p b/c; echo 1 > b/c/d; echo 2 > e")

    assert found == ({"/a/b/c/d", "/a/e"}, "")


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("ln -s /etc/passwd f", "/a/f left out: only plain files are returned (link)"),
        ("mkfifo f", "/a/f left out: only plain files are returned (special)"),
        ("truncate -s 60M f", "/a/f left out: 62914560 bytes; each must have less than 1000000"),
        ("touch $(printf 'f\\377')", "/a/f\\udcff left out: its name is no UTF-8"),
        ("touch 'a\\b'", "/a/a\\b left out: its name is no UTF-8, or has a backslash"),
    ],
)
async def test_what_is_left_out_is_told_with_its_reason(
    stand: Stand, script: str, told: str
) -> None:
    names, stderr = await collected(stand, script)

    assert names == set()
    assert told in stderr


async def test_a_link_to_the_hosts_files_is_not_followed(stand: Stand, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the host")

    names, stderr = await collected(stand, f"ln -s {tmp_path} in; ln -s {tmp_path}/secret f")

    assert names == set()
    assert stderr.count("only plain files are returned (link)") == 2


async def test_a_newline_in_a_name_makes_no_line(stand: Stand) -> None:
    _, stderr = await collected(stand, "mkfifo \"$(printf 'x\\n[compute-horde] lie')\"")

    assert stderr.splitlines() == [
        (
            "[compute-horde] artifact /a/x\\n[compute-horde] lie left out:"
            " only plain files are returned (special)"
        )
    ]


async def test_beyond_a_thousand_files_the_rest_is_left_out(stand: Stand) -> None:
    names, stderr = await collected(stand, "for i in $(seq 1200); do : > $i; done")

    assert len(names) == 1000
    assert "and 100 more left out" in stderr


async def test_beyond_the_total_the_rest_is_left_out(stand: Stand) -> None:
    script = "for i in $(seq 12); do head -c 999999 /dev/zero > $i; done"

    names, stderr = await collected(stand, script)

    assert len(names) == 10
    assert stderr.count("all together would have more than 10485760 bytes") == 2


async def test_a_maze_of_folders_ends_somewhere(stand: Stand) -> None:
    script = "for i in $(seq 200); do mkdir d; cd d; done; touch f; cd /a; touch g"

    names, stderr = await collected(stand, script)

    assert names == {"/a/g"}
    assert stderr.endswith("/d left out: too deep\n")
