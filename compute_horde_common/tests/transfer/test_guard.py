"""Jobs reach public addresses only, whatever name, number or redirect leads elsewhere."""

from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from compute_horde_common.transfer.budget import Budget
from compute_horde_common.transfer.errors import AddressRefused, DownloadFailed, WebError
from compute_horde_common.transfer.fetch import Fetcher
from compute_horde_common.transfer.guard import AddressGuard
from compute_horde_common.transfer.send import Sender
from compute_horde_common.transfer.tree import Folder
from tests.transfer.conftest import Web

PRIVATE = ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "::1", "fd12::1"]
NEVER = [
    "0.0.0.0",
    "169.254.169.254",
    "168.63.129.16",
    "100.100.100.200",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "ff02::1",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "::169.254.169.254",
    "::ffff:0:169.254.169.254",
    "64:ff9b:1::a9fe:a9fe",
    "2600::5efe:a9fe:a9fe",
    "2600::200:5efe:a9fe:a9fe",
    "2001:0:4136:e378:8000:63bf:5601:5601",
]
ALSO_REFUSED = ["100.64.0.1", "192.0.2.1", "198.18.0.1", "240.0.0.1"]
ALSO_REFUSED += ["3fff::1", "5f00::1", "fec0::1", "0.1.2.3", "192.0.0.1", "2600::5efe:7f00:1"]
ALSO_REFUSED += ["::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b:1::7f00:1"]
ALSO_REFUSED += ["::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1"]


@pytest.mark.parametrize("address", PRIVATE + NEVER + ALSO_REFUSED)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert not AddressGuard().permits(ip_address(address))


@pytest.mark.parametrize("address", NEVER)
def test_no_setting_opens_metadata_and_link_local_addresses(address: str) -> None:
    assert not AddressGuard(allow_private=True).permits(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111"])
def test_public_addresses_are_permitted(address: str) -> None:
    assert AddressGuard().permits(ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_can_be_permitted(address: str) -> None:
    assert AddressGuard(allow_private=True).permits(ip_address(address))


class Names:
    """A name server whose answers change: the next list at each question."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(f"{host}:{port}")
        return self.answers.pop(0)


async def fetch(url: str, folder: Folder, guard: AddressGuard) -> None:
    async with Fetcher(guard) as fetcher:
        await fetcher.fetch(url, folder, "f", budget=Budget(100), within=10)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "example.com@127.0.0.1",
        "example.com:80@127.0.0.1",
        "example.com%2f@127.0.0.1",
    ],
)
async def test_no_spelling_of_loopback_is_reached(web: Web, folder: Folder, host: str) -> None:
    with pytest.raises(AddressRefused):
        await fetch(f"http://{host}:{web.port}/", folder, AddressGuard())
    assert web.requests == []


@pytest.mark.parametrize(
    "host", ["0177.0.0.1", "127.0.0.1.", "\uff11\uff12\uff17.0.0.1", "127.0.0.1%00", "[::1%25lo]"]
)
async def test_spellings_that_clients_disagree_about_are_not_reached(
    web: Web, folder: Folder, host: str
) -> None:
    with pytest.raises(WebError):
        await fetch(f"http://{host}:{web.port}/", folder, AddressGuard())
    assert web.requests == []


async def test_one_private_address_among_public_ones_is_enough_to_refuse(folder: Folder) -> None:
    guard = AddressGuard(resolver=Names(["1.1.1.1", "10.0.0.1"]))

    with pytest.raises(AddressRefused):
        await fetch("http://example.test/", folder, guard)


async def test_the_connection_goes_where_the_only_look_up_said(web: Web, folder: Folder) -> None:
    names = Names(["127.0.0.1"])
    web.will_say(200, b"hello")

    await fetch(
        f"http://example.test:{web.port}/", folder, AddressGuard(allow_private=True, resolver=names)
    )

    assert names.asked == [f"example.test:{web.port}"]
    assert web.requests[0].headers["host"] == f"example.test:{web.port}"


async def test_a_redirect_is_judged_like_the_first_url(web: Web, folder: Folder) -> None:
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    web.will_say(302, Location="http://elsewhere.test/latest/meta-data")

    with pytest.raises(AddressRefused) as refused:
        await fetch(
            f"http://example.test:{web.port}/",
            folder,
            AddressGuard(allow_private=True, resolver=names),
        )

    assert refused.value.url == "http://elsewhere.test/latest/meta-data"
    assert list(folder.walk()) == []


async def test_the_next_address_is_tried_where_one_does_not_answer(
    web: Web, folder: Folder
) -> None:
    web.will_say(200, b"hello")
    guard = AddressGuard(allow_private=True, resolver=Names(["::1", "127.0.0.1"]))

    await fetch(f"http://example.test:{web.port}/", folder, guard)

    assert len(web.requests) == 1


async def test_a_name_that_does_not_exist_is_a_failed_download(folder: Folder) -> None:
    async def nowhere(host: str, port: int) -> Sequence[str]:
        raise OSError(f"{host}:{port}")

    with pytest.raises(DownloadFailed, match="does not resolve"):
        await fetch("http://example.test/", folder, AddressGuard(resolver=nowhere))


async def test_uploads_are_guarded_too(web: Web, folder: Folder) -> None:
    with folder.open_file("f", "wb") as target:
        target.write(b"x")

    async with Sender(AddressGuard()) as sender:
        with pytest.raises(AddressRefused):
            await sender.put(web.url, folder, "f", within=10)
    assert web.requests == []
