"""What operators' pages say is there: files, commands, options, variables."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.docs.commands import SCRIPTS, commands, containers, fault, help_of
from tests.docs.pages import ROOT, blocks

OPERATORS = [
    *sorted((ROOT / "docs" / "operators").glob("*.md")),
    ROOT / "docs" / "migration.md",
    ROOT / "docs" / "troubleshooting.md",
]
ALL = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("README.md")),
]
SPEAKING = [
    *("docker/configure", "docker/install.sh", "docker/upgrade", "docker/nginx/entrypoint"),
    *("docker-compose.yml", "install_miner.sh", "install_validator.sh"),
    *("examples/executor_manager/docker_hosts/manager.py", "docs/configuration.md"),
]
"""Files that know what variables there are."""
OTHERS = {"DJANGO_SETTINGS_MODULE", "PYTHONPATH", "DOCKER_USER", "INPUT", "LICENSE", "METADATA"}
PLACEHOLDERS = {"NAME", "VALUE", "NEW", "PORT", "SS58", "ADDRESS", "DOCKER", "EXECUTORS", "ACCOUNT"}
PLACEHOLDERS |= {"CONTAINER_NAME", "NEW_SERVER", "OLD_SERVER", "CLASS"}

_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)(#[^)\s]*)?\)")
_CODE = re.compile(r"`[^`\n]+`")
_VARIABLE = re.compile(r"(?<![A-Za-z0-9_:])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![a-z])")
_TABLE_NAME = re.compile(r"^\| `([A-Z][A-Z0-9_]*)` \|", re.MULTILINE)
_IN_COMPOSE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)")

each_page = pytest.mark.parametrize("page", OPERATORS, ids=lambda page: str(page.name))


def _anchors(page: Path) -> set[str]:
    """What links may lead to: headings, spelled as GitHub spells them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


def _without_blocks(page: Path) -> str:
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = []
    for page in ALL:
        for path, anchor in _LINK.findall(_without_blocks(page)):
            target = (page.parent / path).resolve() if path else page
            if "://" in path or path.startswith("mailto:"):
                continue
            if not target.exists() or (anchor and anchor[1:] not in _anchors(target)):
                broken.append(f"{page.relative_to(ROOT)}: {path}{anchor}")

    assert broken == []


@each_page
def test_every_command_that_a_page_shows_exists_with_its_options(page: Path) -> None:
    faults = [f"{command}: {wrong}" for command in commands(page) if (wrong := fault(command))]

    assert faults == []


def test_the_one_line_installs_name_scripts_and_arguments_that_there_are() -> None:
    text = "".join(page.read_text() for page in [*OPERATORS, ROOT / "README.md"])

    found = re.findall(r"curl -sSfL \S+/(\S+\.sh) \| bash -s - (.+)", text)

    assert {name for name, _ in found} == {"install_miner.sh", "install_validator.sh"}
    unknown = [
        (name, word)
        for name, line in found
        for word in line.split()
        if word not in help_of(SCRIPTS[name]) and word not in {"8000", "always_on.llm.a6000"}
    ]
    assert unknown == []


@each_page
def test_every_variable_that_a_page_names_is_known(page: Path) -> None:
    known = set(_VARIABLE.findall("".join((ROOT / name).read_text() for name in SPEAKING)))
    shown = [block.text for block in blocks(page)] + _CODE.findall(_without_blocks(page))

    named = {name for text in shown for name in _VARIABLE.findall(text)}

    assert named - known - OTHERS - PLACEHOLDERS == set()


@each_page
def test_every_file_of_the_repository_that_a_page_names_is_there(page: Path) -> None:
    tops = "|".join(path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != ".")
    named = re.findall(rf"`((?:{tops})/[\w./-]+)`", _without_blocks(page))

    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_configuration_page_has_every_variable_of_the_compose_file() -> None:
    used = set(_IN_COMPOSE.findall((ROOT / "docker-compose.yml").read_text()))

    documented = set(_TABLE_NAME.findall((ROOT / "docs" / "configuration.md").read_text()))

    assert used - documented == set()


def test_the_compose_file_has_every_volume_that_is_to_be_deleted_by_hand() -> None:
    volumes = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["volumes"]
    page = (ROOT / "docs" / "troubleshooting.md").read_text()

    named = {name for line in re.findall(r"docker volume rm (.+)", page) for name in line.split()}

    assert named == set(volumes)


def test_the_override_for_an_executor_manager_fits_the_compose_file(tmp_path: Path) -> None:
    page = ROOT / "docs" / "operators" / "executor-managers.md"
    (override,) = re.findall(r"^ *```yaml\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE)
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    shutil.copy(ROOT / "docker" / "configure", tmp_path)
    (tmp_path / "docker-compose.override.yml").write_text(override)
    given = {"BITTENSOR_WALLET_NAME": "w", "BITTENSOR_WALLET_HOTKEY_NAME": "h"}

    done = subprocess.run(
        ["bash", "-c", "./configure miner && docker-compose config"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **given},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    fleet = yaml.safe_load(done.stdout)["services"]["miner-fleet"]
    assert f"{tmp_path}/plugins:/plugins:ro" in fleet["volumes"]
    assert "/var/run/docker.sock:/var/run/docker.sock:rw" in fleet["volumes"]


def test_pages_name_containers_that_there_are() -> None:
    text = "".join(page.read_text() for page in OPERATORS)

    named = set(
        re.findall(r"\b((?:facilitator|validator|miner)-(?:app|db|worker|beat|link|fleet))\b", text)
    )

    assert named - containers() == set()
