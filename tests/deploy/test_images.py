"""What is in the images, and what is not."""

import json
import subprocess
from pathlib import Path

import pytest

from compute_horde_devnet.processes import wait_until
from tests.deploy.images import NAMES, ROOT, run

SERVICES = ("facilitator", "validator", "miner")
STORES = {
    "SECRET_KEY": "0123456789abcdef",
    "JWT_SECRET": "0123456789abcdef0123456789abcdef",
    "DATABASE_URL": "postgresql://u:p@localhost/d",
    "REDIS_URL": "redis://localhost/0",
}
IMPORT_ALL = """
import importlib, pkgutil, sys, django
django.setup()
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
print("all of", package.__name__)
"""

pytestmark = pytest.mark.timeout(900)


def _config(image: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(run("docker", "inspect", image))[0]["Config"]
    return found


def _in(image: str, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
    confined = ("--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL")
    program, *arguments = command
    return subprocess.run(
        (
            *("docker", "run", "--rm", *confined, "--entrypoint", program),
            *(*variables, image, *arguments),
        ),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", NAMES)
def test_an_image_says_what_it_is_and_whether_it_works(images: str, name: str) -> None:
    config = _config(f"{images}/{name}:latest")
    labels = config["Labels"]

    assert isinstance(labels, dict)
    assert labels["org.opencontainers.image.version"] == "latest"
    revision = run("sh", "-c", "git rev-parse HEAD 2>/dev/null || echo unknown").strip()
    assert labels["org.opencontainers.image.revision"] == revision
    assert "ComputeHorde" in labels["org.opencontainers.image.title"]
    # An executor lives for one job, and says on its socket how it is.
    assert ("Healthcheck" in config) is (name != "executor")


@pytest.mark.parametrize("name", [*SERVICES, "nginx"])
def test_what_faces_a_network_is_not_root(images: str, name: str) -> None:
    assert _config(f"{images}/{name}:latest")["User"] == "horde"


@pytest.mark.parametrize("name", NAMES)
def test_no_image_has_build_tools(images: str, name: str) -> None:
    tools = "for tool in cc gcc g++ make pip pip3 uv git; do command -v $tool; done; true"

    found = _in(f"{images}/{name}:latest", "sh", "-c", tools)

    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("service", SERVICES)
def test_everything_that_a_service_imports_is_there(images: str, service: str) -> None:
    done = _in(f"{images}/{service}:latest", "python3", "-c", IMPORT_ALL, service, **STORES)

    assert (done.returncode, done.stdout) == (0, f"all of {service}\n"), done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_a_server_gets_the_files_of_this_release_from_the_image(images: str, service: str) -> None:
    for name in ("docker-compose.yml", "docker/configure", "docker/upgrade"):
        inside = f"/opt/compute-horde/deploy/{name.removeprefix('docker/')}"
        found = _in(f"{images}/{service}:latest", "cat", inside)
        assert found.stdout == (ROOT / name).read_text()


def test_all_that_is_missing_is_told_at_once(images: str) -> None:
    done = _in(f"{images}/facilitator:latest", "entrypoint", "web")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "The environment is not complete or not valid:\n"
        "  SECRET_KEY: is missing\n"
        "  DATABASE_URL: is missing\n"
        "  REDIS_URL: is missing\n"
        "  JWT_SECRET: is missing\n"
    )


def test_a_role_that_does_not_exist_is_named(images: str) -> None:
    done = _in(f"{images}/miner:latest", "entrypoint", "cook")

    assert (done.returncode, done.stderr) == (
        2,
        'entrypoint: there is no role "cook"; there are web, worker, beat, link, fleet, manage\n',
    )


def test_a_database_starts_on_a_volume_that_another_image_used(images: str, tmp_path: Path) -> None:
    """Also where an initialisation of ours was cut off."""
    password = tmp_path / "password"
    password.write_text("secret")
    image = f"{images}/postgres:latest"
    volume = run("docker", "volume", "create").strip()
    place = ("--volume", f"{volume}:/var/lib/postgresql/data")
    spoil = (
        "install -d -o postgres 15.part && touch 15.part/PG_VERSION && chown 999 . && chmod 0700 ."
    )
    enter = ("--entrypoint", "sh", "--workdir", "/var/lib/postgresql/data")
    run("docker", "run", "--rm", *place, *enter, image, "-c", spoil)
    mount = ("--volume", f"{password}:/run/secrets/db_password:ro")
    database = run("docker", "run", "--detach", *place, *mount, image).strip()
    try:
        ready = ("docker", "exec", database, "pg_isready", "--host=127.0.0.1")
        wait_until(
            lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0,
            [],
            what="the database",
            seconds=60,
        )
        asked = ("psql", "--username=postgres", "--tuples-only", "--command", "SELECT 1")
        assert run("docker", "exec", database, *asked).strip() == "1"
    finally:
        run("docker", "rm", "--force", database)
        run("docker", "volume", "rm", volume)
