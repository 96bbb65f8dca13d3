import pytest

from compute_horde_common.containers.image_name import ImageName

DIGEST = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1", "docker.io/library/busybox:1"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox:latest"),
        ("team/app", "docker.io/team/app:latest"),
        ("team/tools/app:2", "docker.io/team/tools/app:2"),
        ("ghcr.io/app", "ghcr.io/app:latest"),
        ("ghcr.io:443/team/app:3", "ghcr.io:443/team/app:3"),
        ("localhost/app", "localhost/app:latest"),
        ("127.0.0.1:5000/team/app", "127.0.0.1:5000/team/app:latest"),
        (f"team/app@{DIGEST}", f"docker.io/team/app@{DIGEST}"),
        (f"team/app:2@{DIGEST}", f"docker.io/team/app:2@{DIGEST}"),
    ],
)
def test_a_name_means_what_it_means_to_docker(text: str, full: str) -> None:
    assert ImageName.parse(text).full == full


def test_a_full_name_means_itself() -> None:
    name = ImageName.parse("ghcr.io/team/app:3")

    assert name == ImageName("ghcr.io", "team/app", "3", None)
    assert ImageName.parse(name.full) == name


@pytest.mark.parametrize("text", ["", "UPPER", "a/UPPER", "a b", "x:", "a@sha256:12", "x" * 600])
def test_what_no_image_can_be_called_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the name of an image"):
        ImageName.parse(text)
