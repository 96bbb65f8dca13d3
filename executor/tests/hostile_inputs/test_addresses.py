"""No URL, name or redirect of a job leads to an address that is not public."""

from collections.abc import Sequence

import httpx
import pytest

from compute_horde_common.transfer.fetch import Fetcher
from compute_horde_common.transfer.guard import AddressGuard
from executor.config import ExecutorConfig
from tests.filling import CONFIG, Filling, archive_at, refused, single
from tests.servers import Site, answer

NOT_PUBLIC = "the host is at an address that jobs may not reach (not public)"
PRIVATE = ["127.0.0.1", "10.0.0.1", "172.31.255.255", "192.168.1.1", "[::1]", "[fd00::1]"]
METADATA = ["169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16"]
METADATA += ["[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "2852039166", "0xa9fea9fe"]
OTHERS = ["0.0.0.0", "224.0.0.1", "255.255.255.255", "[::]", "[fe80::1]", "[ff02::1]"]


class Names:
    """A name server that knows these names, and no others."""

    def __init__(self, known: dict[str, Sequence[str]]) -> None:
        self._known = known

    def connect(self, _: ExecutorConfig) -> Fetcher:
        return Fetcher(AddressGuard(resolver=self.resolve))

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        if host not in self._known:
            raise OSError(f"{host}:{port}")
        return self._known[host]


class OpenTo(AddressGuard):
    """Takes one site's port for a public host, since there is none on a test's machine."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self._site = site

    def connect(self, _: ExecutorConfig) -> Fetcher:
        return Fetcher(self)

    async def addresses(self, url: httpx.URL) -> list[str]:
        if url.port == self._site.port:
            return [url.host]
        return await super().addresses(url)


def test_private_addresses_are_closed_unless_the_operator_opens_them() -> None:
    assert not ExecutorConfig("ws://m", "t", "o").allow_private_addresses


@pytest.mark.parametrize("host", PRIVATE + METADATA + OTHERS)
async def test_an_address_that_is_not_public_is_refused(filling: Filling, host: str) -> None:
    filling.configure(allow_private_addresses=False)

    assert await filling.refusal(single(f"http://{host}:1/x?secret=1")) == refused(
        f"http://{host}:1/x: {NOT_PUBLIC}"
    )


@pytest.mark.parametrize("host", METADATA + OTHERS)
async def test_no_setting_opens_these_addresses(filling: Filling, host: str) -> None:
    failure = await filling.refusal(archive_at(f"http://{host}:1/x"))

    assert (filling.config, failure) == (CONFIG, refused(f"http://{host}:1/x: {NOT_PUBLIC}"))


@pytest.mark.parametrize("host", PRIVATE + METADATA + OTHERS)
async def test_a_redirect_to_such_an_address_is_refused(
    filling: Filling, site: Site, host: str
) -> None:
    site.pages["/f"] = answer(302, Location=f"http://{host}:1/latest")
    filling.connect = OpenTo(site).connect

    assert await filling.refusal(single(site.url("/f"))) == refused(
        f"http://{host}:1/latest: {NOT_PUBLIC}"
    )
    assert site.asked == ["/f"]


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["169.254.169.254"], ["::ffff:10.0.0.1"], ["1.1.1.1", "192.168.0.1"]],
)
async def test_a_name_of_such_an_address_is_refused(filling: Filling, addresses: list[str]) -> None:
    filling.connect = Names({"evil.test": addresses}).connect

    assert await filling.refusal(single("https://evil.test/x")) == refused(
        f"https://evil.test/x: {NOT_PUBLIC}"
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://good.test@127.0.0.1:1/",
        "http://good.test:80@127.0.0.1:1/",
        "http://127.0.0.1:1/#@good.test",
        "http://127.0.0.1:1/?@good.test/",
        "http://127.1:1/",
        "http://0x7f000001:1/",
        "http://2130706433:1/",
        "http://localhost:1/",
    ],
)
async def test_no_way_to_write_it_hides_an_address(filling: Filling, url: str) -> None:
    filling.configure(allow_private_addresses=False)

    failure = await filling.refusal(single(url))

    assert failure == refused(failure.message)
    assert failure.message.endswith(NOT_PUBLIC)


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://good.test/x", "gopher://x/"])
async def test_a_redirect_to_another_scheme_is_refused(
    filling: Filling, site: Site, location: str
) -> None:
    site.pages["/f"] = answer(302, Location=location)

    failure = await filling.refusal(single(site.url("/f")))

    assert failure == refused(failure.message)
    assert failure.message.endswith("only http and https URLs with a host are used")


async def test_a_redirect_brings_no_password_along(
    filling: Filling, site: Site, other_site: Site
) -> None:
    site.pages["/f"] = answer(
        302, Location=other_site.url("/g").replace("http://", "http://user:password@")
    )
    other_site.pages["/g"] = answer(200, b"hello")

    await filling.fill(single(site.url("/f").replace("http://", "http://me:secret@")))

    assert ["authorization" in request.headers for request in other_site.requests] == [False]


async def test_a_name_that_does_not_exist_is_told(filling: Filling) -> None:
    filling.connect = Names({}).connect

    assert await filling.refusal(single("http://nowhere.test/x")) == refused(
        "http://nowhere.test/x: no connection (the host's name does not resolve)"
    )
