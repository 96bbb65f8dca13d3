"""The networks of a Docker daemon."""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from ipaddress import IPv4Address, ip_address

from pydantic import JsonValue
from typing_extensions import override

from compute_horde_common.containers.docker_answers import (
    FORBIDDEN,
    NOT_FOUND,
    check_container,
    check_network,
    field,
    labels_of,
    refuse_failure,
    text,
    texts,
)
from compute_horde_common.containers.docker_api import DaemonApi, Reply
from compute_horde_common.containers.interface import EngineError, Networks, OwnedNetwork

# Without it the host has an address on the bridge, and so an open door for the job.
_NO_HOST_ADDRESS = "com.docker.network.bridge.inhibit_ipv4"
_TRIES = 100
_SECONDS_BETWEEN_TRIES = 0.05


class DockerNetworks(Networks):
    """Those of one daemon."""

    def __init__(self, api: DaemonApi) -> None:
        self._api = api

    @override
    async def create_network(self, name: str, labels: Mapping[str, str]) -> str:
        check_network(name)
        wanted: dict[str, JsonValue] = {
            "Name": name,
            "CheckDuplicate": True,
            "Driver": "bridge",
            "Internal": True,
            "EnableIPv6": False,
            "Options": {_NO_HOST_ADDRESS: "true"},
            "Labels": dict(labels),
        }
        reply = await self._api.call("POST", "/networks/create", body=wanted)
        refuse_failure(reply)
        return text(reply.json, "Id")

    @override
    async def remove_network(self, name: str) -> None:
        check_network(name)
        reply = await self._try_to_remove(name)
        for _ in range(_TRIES):
            if reply.status != FORBIDDEN:
                break
            # A container that ended a moment ago is on its way out, and not listed any more.
            await asyncio.sleep(_SECONDS_BETWEEN_TRIES)
            reply = await self._try_to_remove(name)
        if reply.status != NOT_FOUND:
            refuse_failure(reply)

    @override
    async def owned_networks(self, labels: Mapping[str, str]) -> list[OwnedNetwork]:
        wanted = json.dumps({"label": [f"{key}={value}" for key, value in labels.items()]})
        reply = await self._api.call("GET", "/networks", {"filters": wanted})
        refuse_failure(reply)
        found = reply.json
        return [_owned(item) for item in found] if isinstance(found, list) else []

    @override
    async def connect(self, network: str, container_id: str) -> None:
        check_network(network)
        check_container(container_id)
        wanted: JsonValue = {"Container": container_id}
        refuse_failure(await self._api.call("POST", f"/networks/{network}/connect", body=wanted))

    @override
    async def address(self, container_id: str, network: str) -> str:
        networks = field(await self._network_settings(container_id), "Networks")
        address = field(networks, network, "IPAddress")
        if not isinstance(address, str) or not address:
            raise EngineError(f"The container has no address in the network {network!r}.")
        return address

    @override
    async def network_namespace(self, container_id: str) -> str:
        path = field(await self._network_settings(container_id), "SandboxKey")
        if not isinstance(path, str) or not path:
            raise EngineError("The container does not run: it has no network namespace.")
        return path

    @override
    async def published_port(self, container_id: str, port: int) -> tuple[str, int] | None:
        bindings = field(await self._network_settings(container_id), "Ports", f"{port}/tcp")
        if not isinstance(bindings, list):
            return None
        doors = [(text(each, "HostIp"), int(text(each, "HostPort"))) for each in bindings]
        return min(doors, key=lambda door: not _is_ipv4(door[0]), default=None)

    async def _network_settings(self, container_id: str) -> JsonValue:
        check_container(container_id)
        reply = await self._api.call("GET", f"/containers/{container_id}/json")
        refuse_failure(reply)
        return field(reply.json, "NetworkSettings")

    async def _try_to_remove(self, name: str) -> Reply:
        found = await self._api.call("GET", f"/networks/{name}")
        if found.failed:
            return found
        for container in texts(found.json, "Containers"):
            wanted: JsonValue = {"Container": container, "Force": True}
            await self._api.call("POST", f"/networks/{name}/disconnect", body=wanted)
        return await self._api.call("DELETE", f"/networks/{name}")


def _owned(item: JsonValue) -> OwnedNetwork:
    return OwnedNetwork(
        id=text(item, "Id"),
        name=text(item, "Name"),
        labels=labels_of(item),
        created=datetime.fromisoformat(text(item, "Created")),
    )


def _is_ipv4(host: str) -> bool:
    return isinstance(ip_address(host), IPv4Address)
