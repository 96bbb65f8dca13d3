"""The installers, run on an operator's machine against fresh Debian servers. The tests follow one
another: what one has installed, the next ones look at. `test_upgrade` goes on with it."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from compute_horde_common.jobs.executor_classes import ExecutorClass
from tests.deploy.hosts import USER, Host
from tests.deploy.images import ROOT, run
from tests.deploy.laptop import Laptop, end, read_until
from tests.deploy.servers import MINER, PLAIN, VALIDATOR, Servers

pytestmark = pytest.mark.timeout(600)

HOME = f"/home/{USER}"
CLASS = "always_on.test"
WALLET = f"{HOME}/.bittensor/wallets/{PLAIN}"
WRITE_DATE = """printf '#!/bin/sh\\nexec /usr/bin/date -d "-1 hour" "$@"\\n' >/usr/local/bin/date"""


def install_miner(servers: Servers, *arguments: str, **more: str) -> tuple[int, str]:
    """Runs the installer as the docs say."""
    command = ("production", _olga(servers), servers.miner_path, "8000", CLASS)
    known = {"BITTENSOR_MINER_ADDRESS": servers.miner.address, **more}
    return servers.laptop.run("install_miner.sh", *command, *arguments, **known)


def _olga(servers: Servers) -> str:
    return f"{USER}@{servers.miner.address}"


def test_the_scripts_are_short_and_clean() -> None:
    scripts = ["install_miner.sh", "install_validator.sh"]

    run(
        str(Path(sys.executable).with_name("shellcheck")),
        *scripts,
        "docker/install.sh",
        "docker/upgrade",
        "docker/configure",
    )

    lengths = {name: len((ROOT / name).read_text().splitlines()) for name in scripts}
    assert {name: length for name, length in lengths.items() if length > 150} == {}


def test_the_miners_installer_knows_all_classes(tmp_path: Path) -> None:
    _, told = Laptop.bought(tmp_path / "laptop").run("install_miner.sh", "--help")

    assert [name for name in ExecutorClass if name not in told] == []


@pytest.mark.parametrize(
    ("script", "arguments", "exported", "told"),
    [
        ("install_miner.sh", "SERVER HOTKEY.x", {}, "there is no hotkey file"),
        ("install_miner.sh", "SERVER WALLET/coldkey", {}, "is a coldkey. It never leaves"),
        ("install_miner.sh", "SERVER WALLET/coldkeypub.txt", {}, "only the public half"),
        ("install_miner.sh", "SERVER HIDDEN", {}, "holds the coldkey of"),
        ("install_miner.sh", "SERVER LOCKED", {}, "is not an open hotkey"),
        ("install_miner.sh", "SERVER HOTKEY 0", {}, "PORT 0 is no port"),
        ("install_miner.sh", "SERVER HOTKEY 65536", {}, "PORT 65536 is no port"),
        ("install_miner.sh", "SERVER HOTKEY 80 fast", {}, "CLASS fast is unknown; there are"),
        ("install_miner.sh", "local SERVER 5Gx", {}, "VALIDATOR_KEY 5Gx is not an SS58 address"),
        ("install_miner.sh", "-oProxyCommand=id HOTKEY", {}, "no option -oProxyCommand=id"),
        ("install_miner.sh", "SERVER", {}, "there are 1 arguments"),
        ("install_miner.sh", "SERVER HOTKEY --purge", {}, "--purge goes with --uninstall alone"),
        ("install_validator.sh", "SERVER HOTKEY x", {}, "there are 3 arguments"),
        (
            "install_validator.sh",
            "SERVER HOTKEY",
            {"TRUSTED_MINER_ADDRESS": "1.2.3.4"},
            "TRUSTED_MINER_PORT is not",
        ),
        (
            "install_validator.sh",
            "SERVER HOTKEY",
            {"S3_BUCKET_NAME_PROMPTS": "p", "AWS_ACCESS_KEY_ID": "k"},
            "not set: S3_BUCKET_NAME_ANSWERS AWS_SECRET_ACCESS_KEY",
        ),
    ],
)
def test_wrong_arguments_are_told_before_anything_is_done(
    tmp_path: Path, script: str, arguments: str, exported: dict[str, str], told: str
) -> None:
    laptop = Laptop.bought(tmp_path / "laptop")
    hotkey, _ = laptop.wallet("wallet", "hotkey")
    wallet = hotkey.parent.parent
    (hotkey.parent / "hidden").write_text((wallet / "coldkey").read_text())
    (hotkey.parent / "locked").write_bytes(b"$NACL" + bytes(64))
    words = {"SERVER": "192.0.2.1", "HOTKEY": str(hotkey), "WALLET": str(wallet)}
    words |= {"HIDDEN": f"{hotkey.parent}/hidden", "LOCKED": f"{hotkey.parent}/locked"}
    for word, meaning in words.items():
        arguments = arguments.replace(word, meaning)

    status, output = laptop.run(script, *arguments.split(), **exported)

    assert (status, told in output) == (1, True), output
    assert "nothing was done" in output


def test_all_wrong_arguments_are_told_at_once(tmp_path: Path) -> None:
    laptop = Laptop.bought(tmp_path / "laptop")

    _, output = laptop.run("install_miner.sh", "--quick", "somewhere", "nowhere", "x", "y")

    assert [line.split()[1] for line in output.splitlines()[1:]] == [
        "there",  # is no option
        "there",  # is no hotkey file
        "PORT",
        "CLASS",
    ]


def test_an_unknown_host_key_is_shown_and_not_taken(servers: Servers) -> None:
    status, output = install_miner(servers)

    key = servers.miner.run("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    assert (status, key in output) == (1, True), output
    assert "is not known here" in output
    assert not (servers.laptop.home / "known_hosts").exists()


def test_a_changed_host_key_stops_hard(servers: Servers) -> None:
    known = servers.laptop.home / "known_hosts"
    servers.laptop.know(servers.validator)
    known.write_text(known.read_text().replace(servers.validator.address, servers.miner.address))

    status, output = install_miner(servers)

    known.unlink()
    assert (status, "it is another server, or somebody is in between" in output) == (1, True)


def test_servers_that_cannot_be_reached_are_told_apart(servers: Servers) -> None:
    servers.laptop.know(servers.miner)
    servers.laptop.know(servers.validator)

    def told(destination: str, **more: str) -> str:
        status, output = servers.laptop.run(
            "install_miner.sh", destination, servers.miner_path, **more
        )
        assert status == 1
        return output

    assert "its name cannot be resolved" in told("olga@no-such-server.invalid")
    refused = told(f"ssh://{USER}@{servers.miner.address}:2222")
    assert "refuses connections at port 2222" in refused
    assert "none of your keys" in told(f"nobody@{servers.miner.address}")
    slow = f"-F {servers.laptop.home}/ssh_config -o ProxyCommand=false"
    assert "ssh cannot connect" in told(_olga(servers), SSH_OPTIONS=slow)


@pytest.mark.parametrize(
    ("prepare", "undo", "exported", "told"),
    [
        (
            "cp /etc/os-release /os; echo 'ID=alpine' >/etc/os-release",
            "cp /os /etc/os-release; rm /os",
            {},
            "use a server with Debian 12",
        ),
        ("true", "true", {"COMPUTE_HORDE_MIN_DISK_GB": "100000"}, "of the 100000 GB"),
        (
            f"{WRITE_DATE} && chmod +x /usr/local/bin/date",
            "rm /usr/local/bin/date",
            {},
            "behind your machine's. Set both by NTP",
        ),
        (
            "mv /etc/sudoers.d/olga /sudo",
            "mv /sudo /etc/sudoers.d/olga",
            {},
            "needs sudo without a password",
        ),
        (
            f"install -d {HOME}/{MINER} && touch {HOME}/{MINER}/docker-compose.yml",
            f"rm -r {HOME}/{MINER}",
            {},
            "belongs to another installation",
        ),
        (
            f"install -d -o {USER} {WALLET}/hotkeys && echo other >{WALLET}/hotkeys/my_hotkey",
            f"rm -r {HOME}/.bittensor",
            {},
            "there is another key",
        ),
    ],
)
def test_an_unfit_server_is_left_as_it_is(
    servers: Servers, prepare: str, undo: str, exported: dict[str, str], told: str
) -> None:
    servers.miner.run(prepare)
    before = servers.miner.everything()

    status, output = install_miner(servers, **exported)

    after = servers.miner.everything()
    servers.miner.run(undo)
    assert (status, told in output) == (1, True), output
    assert after == before


def test_a_taken_port_is_told_with_its_holder(servers: Servers) -> None:
    command = (_olga(servers), servers.miner_path, "22", CLASS)

    status, output = servers.laptop.run("install_miner.sh", *command)

    assert (status, 'port 22 is taken by "sshd"' in output) == (1, True), output


def test_a_gpu_class_needs_a_gpu(servers: Servers) -> None:
    status, output = servers.laptop.run("install_miner.sh", _olga(servers), servers.miner_path)

    assert status == 1
    assert "there is no NVIDIA GPU here, and executors of class spin_up-4min.gpu-24gb" in output


@pytest.mark.parametrize(
    ("driver", "told"),
    [
        ("", "would install NVIDIA's driver (cuda-drivers)"),
        ("echo 470.1", "driver 470.1 is older than 535: sudo apt-get purge -y '^nvidia-.*'"),
        ("echo Failed: Driver/library version mismatch", "does not work (Failed: Driver/library"),
        ("echo 550.1", "would install NVIDIA's container toolkit"),
    ],
)
def test_what_a_server_with_a_gpu_gets_depends_on_its_driver(
    servers: Servers, driver: str, told: str
) -> None:
    """Where there is no card, one is shown in /sys, of the vendor and kind that is looked for."""
    card = "/gpu/0000:01:00.0"
    servers.miner.run(f"mkdir -p {card}; echo 0x10de >{card}/vendor; echo 0x030200 >{card}/class")
    smi = "/usr/local/bin/nvidia-smi"
    if driver:
        servers.miner.run(f"printf '#!/bin/sh\\n{driver}\\n' >{smi}; chmod +x {smi}")

    # The shell that looks has the card; nobody else does.
    show = "mount --bind /gpu /sys/bus/pci/devices"
    servers.miner.run(show)
    _, output = servers.laptop.run(
        "install_miner.sh", _olga(servers), servers.miner_path, "--dry-run"
    )
    servers.miner.run(f"umount /sys/bus/pci/devices; rm -rf /gpu {smi}")

    assert told in output, output


def test_a_dry_run_changes_nothing(servers: Servers) -> None:
    before = servers.miner.everything()
    home = sorted(str(path) for path in servers.laptop.home.rglob("*"))

    status, output = install_miner(servers, "--dry-run")

    assert status == 0, output
    assert servers.miner.everything() == before
    assert sorted(str(path) for path in servers.laptop.home.rglob("*")) == home
    assert output.count("would ") == 5
    assert "no NVIDIA GPU that a miner uses" in output


def test_an_interrupted_installation_leaves_nothing_behind_here(servers: Servers) -> None:
    command = ("production", _olga(servers), servers.miner_path, "8000", CLASS)
    process = servers.laptop.start("install_miner.sh", *command)

    read_until(process, "installing Docker")
    status = end(process, signal.SIGTERM)

    assert (status, servers.laptop.temporary_files()) == (130, [])


def test_an_installation_without_images_says_so(servers: Servers) -> None:
    servers.registry.stop()

    status, output = install_miner(servers)

    servers.registry.start()
    assert status == 1
    assert "step 4 did not work, the lines above say why" in output
    assert "connection refused" in output


def test_an_installation_that_was_killed_goes_on_where_it_was(servers: Servers) -> None:
    command = ("production", _olga(servers), servers.miner_path, "8000", CLASS)
    known = {"BITTENSOR_MINER_ADDRESS": servers.miner.address}
    process = servers.laptop.start("install_miner.sh", *command, **known)
    read_until(process, "pulling")
    end(process, signal.SIGKILL)
    for left in (servers.laptop.home / "tmp").iterdir():
        run("rm", "-r", str(left))

    status, output = install_miner(servers)

    assert status == 0, output
    assert "The self-test went well" in output
    assert "[2/6] Docker\n      Docker 20.10" in output
    assert servers.laptop.temporary_files() == []


def test_only_the_hotkey_is_on_the_server_and_only_its_owner_reads_it(servers: Servers) -> None:
    found = servers.miner.run(f"find {HOME}/.bittensor -type f -printf '%P %m %u\\n' | sort")

    assert found.splitlines() == [
        f"wallets/{PLAIN}/coldkeypub.txt 600 {USER}",
        f"wallets/{PLAIN}/hotkeys/my_hotkey 600 {USER}",
    ]
    there = servers.miner.run(f"cat {HOME}/.bittensor/wallets/{PLAIN}/hotkeys/my_hotkey")
    assert there == servers.miner_path.read_text().strip()


def test_settings_and_secrets_are_their_owners_alone(servers: Servers) -> None:
    modes = servers.miner.run(
        f"cd {HOME}/{MINER} && stat -c '%n %a %U' .env miner.env secrets secrets/* | sort"
    )

    wrong = [line for line in modes.splitlines() if line.split()[1] not in {"600", "700", "400"}]
    assert wrong == []
    assert {line.split()[2] for line in modes.splitlines()} == {USER}


def test_what_ran_on_the_server_before_is_still_there(servers: Servers) -> None:
    assert servers.registry.address in servers.miner.run("cat /etc/docker/daemon.json")
    assert servers.miner.run("ls -A /tmp | grep -v '^systemd-private\\|-unix$' || true") == ""


def test_every_image_is_named_by_its_digest(servers: Servers) -> None:
    pins = servers.miner.run(f"grep '_IMAGE=' {HOME}/{MINER}/.env")

    assert sorted(line.split("@")[0] for line in pins.splitlines()) == [
        f"{name.upper()}_IMAGE={servers.registry.address}/{name}"
        for name in ("executor", "miner", "nginx", "postgres", "redis")
    ]


def test_cron_calls_the_upgrade_once_a_day(servers: Servers) -> None:
    line = servers.miner.run("grep '^[0-9]' /etc/cron.d/compute-horde-miner").split()

    assert line[2:] == [
        *("*", "*", "*", USER, f"{HOME}/{MINER}/upgrade", "--auto"),
        *(f">>{HOME}/{MINER}/upgrade.log", "2>&1"),
    ]
    assert 0 <= int(line[0]) < 60
    assert 0 <= int(line[1]) < 24


def test_installing_again_changes_neither_secrets_nor_containers(servers: Servers) -> None:
    def state() -> list[str]:
        files = servers.miner.run(
            f"cd {HOME}/{MINER} && sha256sum .env secrets/* /etc/cron.d/* docker-compose.yml"
        )
        return [*files.splitlines(), *servers.miner.containers()]

    before = state()

    status, output = install_miner(servers)

    assert status == 0, output
    assert "upgrade: nothing is new" in output
    assert state() == before


def test_a_validator_is_installed_through_a_pipe_by_root(servers: Servers) -> None:
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    exported = {
        "TRUSTED_MINER_ADDRESS": servers.validator.address,
        "TRUSTED_MINER_PORT": "8001",
        "S3_BUCKET_NAME_PROMPTS": "prompts",
        "S3_BUCKET_NAME_ANSWERS": "answers",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": secret,
    }
    command = (f"root@{servers.validator.address}", servers.validator_path)

    status, output = servers.laptop.run_piped("install_validator.sh", *command, **exported)

    # The trusted miner is not there yet: installed, but its doctor has something to say.
    assert (status, "FAIL  trusted miner" in output) == (1, True), output
    assert "the validator is installed and runs, but has the faults" in output
    assert f"The validator runs on {servers.validator.address}." in output
    assert secret not in output
    env = servers.validator.run(f"cat /root/{VALIDATOR}/.env").splitlines()
    assert [line for line in env if line.split("=")[0] in exported] == [
        f"{name}={value}" for name, value in sorted(exported.items(), key=_in(env))
    ]
    assert secret not in servers.validator.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")


def _in(env: list[str]) -> Callable[[tuple[str, str]], int]:
    return lambda item: env.index("=".join(item))


def test_roots_services_are_not_root(servers: Servers) -> None:
    form = "{{.Config.User}}"
    user = servers.validator.run(
        f"docker inspect --format '{form}' $(docker ps --quiet --filter name=validator-link)"
    )

    assert user == "10001:10001"


def test_a_trusted_miner_is_installed_beside_the_validator(servers: Servers) -> None:
    command = ("local", f"root@{servers.validator.address}", servers.validator_key.ss58, "8001")
    exported = {"STREAMING_ADDRESS": servers.validator.address}

    status, output = servers.laptop.run("install_miner.sh", *command, CLASS, **exported)

    assert status == 0, output
    env = servers.validator.run(f"cat /root/{MINER}/.env").splitlines()
    assert "IS_LOCAL_MINER=true" in env
    assert f"LOCAL_MINER_VALIDATOR_PUBLIC_KEY={servers.validator_key.ss58}" in env


@pytest.mark.parametrize("trusted", [False, True], ids=["the_miner", "the_trusted_miner"])
async def test_installed_validator_runs_a_job_on(servers: Servers, trusted: bool) -> None:
    stack = servers.facilitator.result()
    stack.manage("facilitator-app", "allow_hotkey", servers.user.hotkey)
    allow = "docker exec $(docker ps --quiet --filter name=validator-app) manage allow_signer"
    servers.validator.run(f"{allow} {servers.user.hotkey}")
    stack.wait_for("facilitator", "facilitator_validatorconnection")

    async with servers.client() as client:
        spec = servers.spec("echo", "hello")
        job = await client.create_job(spec, on_trusted_miner=trusted)
        await job.wait(timeout=120)

    assert (job.status.value, job.result and job.result.stdout) == ("completed", "hello\n"), job


def test_the_validators_doctor_has_nothing_to_mend(servers: Servers) -> None:
    doctor = "docker exec $(docker ps --quiet --filter name=validator-link) manage doctor"

    status, output = servers.validator.try_to_run(doctor)

    assert (status, "FAIL" in output) == (0, False), output


def test_the_admin_is_for_the_servers_own_people(servers: Servers) -> None:
    status = subprocess.run(
        ["curl", "-sS", "--max-time", "5", f"http://{servers.validator.address}:80/"], check=False
    ).returncode

    assert status != 0
    own = servers.validator.run(
        "curl -sS -o /dev/null -w '%{http_code}' http://127.0.0.1/admin/login/"
    )
    assert own == "200"


def logs_in(host: Host, service: str, home: str, port: int) -> str:
    """The status that the admin's login answers with the password that was made."""
    login = f"http://127.0.0.1:{port}/admin/login/"
    jar = "-sS -b /tmp/jar -c /tmp/jar"
    find = 's/.*csrfmiddlewaretoken. value=.\\([^"]*\\).*/\\1/p'
    return host.run(
        f"token=$(curl {jar} {login} | sed -n '{find}');"
        f" curl {jar} -o /dev/null -w '%{{http_code}}' --data csrfmiddlewaretoken=$token"
        " --data username=admin --data-urlencode"
        f" password=$(cat {home}/secrets/{service}_admin_password) {login}; rm /tmp/jar"
    )


def test_the_printed_login_is_the_admins(servers: Servers) -> None:
    assert logs_in(servers.miner, "miner", f"{HOME}/{MINER}", 8000) == "302"
    assert logs_in(servers.validator, "validator", f"/root/{VALIDATOR}", 80) == "302"
