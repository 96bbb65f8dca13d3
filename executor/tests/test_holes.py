import pytest

from executor.holes import holes_in_linux, holes_in_runc, version_in

RELEASE_AGENT = "CVE-2022-0492"
DIRTY_PIPE = "CVE-2022-0847"


@pytest.mark.parametrize(
    ("release", "found"),
    [
        ("5.10.96", [RELEASE_AGENT, DIRTY_PIPE]),
        ("5.10.97", [DIRTY_PIPE]),
        ("5.10.102", []),
        ("4.19.228-generic", [RELEASE_AGENT]),
        ("4.19.229", []),
        ("5.13.19", [RELEASE_AGENT, DIRTY_PIPE]),
        ("5.16.11", []),
        ("5.17.1", []),
        ("6.18.44-fc-v595", []),
    ],
)
def test_kernels_of_linux_s_makers_are_judged_by_their_number(
    release: str, found: list[str]
) -> None:
    assert holes_in_linux(release, "1") == found


def test_the_hole_of_old_control_groups_needs_old_control_groups() -> None:
    assert holes_in_linux("5.10.96", "2") == [DIRTY_PIPE]


@pytest.mark.parametrize("release", ["5.15.0-91-generic", "5.10.0-30-amd64", "4.18.0-553.el8", ""])
def test_nothing_is_said_of_kernels_that_a_distribution_mends(release: str) -> None:
    assert holes_in_linux(release, "1") == []


@pytest.mark.parametrize(
    ("commit", "found"),
    [
        ("v1.1.11-0-g4bccb38", ["CVE-2024-21626", "CVE-2025-31133"]),
        ("v1.1.12-0-g51d5e94", ["CVE-2025-31133"]),
        ("v1.2.7-0-g0123456", ["CVE-2025-31133"]),
        ("v1.2.8-0-g0123456", []),
        ("v1.3.2-0-gaeabe4e", ["CVE-2025-31133"]),
        ("v1.3.3-0-gd842d77", []),
        ("1.1.5+ds1-1+deb12u1", []),
        ("", []),
    ],
)
def test_runc_is_judged_where_its_makers_built_it(commit: str, found: list[str]) -> None:
    assert holes_in_runc(commit) == found


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("20.10.24+dfsg1", (20, 10, 24)),
        ("NVIDIA Container Toolkit CLI version 1.17.4\ncommit: 9b69590c", (1, 17, 4)),
        ("29.1", (29, 1, 0)),
        ("none", None),
    ],
)
def test_versions_are_found_in_texts(text: str, version: tuple[int, ...] | None) -> None:
    assert version_in(text) == version
