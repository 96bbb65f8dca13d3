"""A `ContainerSpec` in the words of Docker's create call: what is not opened there stays closed."""

from pydantic import JsonValue

from compute_horde_common.containers.interface import ContainerSpec, Limits

_CPU_PERIOD_MICROSECONDS = 100_000
_MIN_CPU_QUOTA = 1000


def container_config(spec: ContainerSpec) -> dict[str, JsonValue]:
    """The body of Docker's create call."""
    config: dict[str, JsonValue] = {
        "Image": spec.image,
        "Env": [f"{key}={value}" for key, value in spec.env.items()],
        "Labels": dict(spec.labels),
        "HostConfig": _host_config(spec),
    }
    if spec.ports:
        config["ExposedPorts"] = {f"{port}/tcp": {} for port in spec.ports}
    if spec.command:
        config["Cmd"] = list(spec.command)
    if spec.entrypoint is not None:
        config["Entrypoint"] = list(spec.entrypoint)
    if spec.user is not None:
        config["User"] = spec.user
    if spec.working_dir is not None:
        config["WorkingDir"] = spec.working_dir
    return config


def _host_config(spec: ContainerSpec) -> dict[str, JsonValue]:
    limits = spec.limits
    config: dict[str, JsonValue] = {
        "NetworkMode": spec.network,
        "Dns": list(spec.dns),
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "CapDrop": ["ALL"],
        "CapAdd": list(spec.capabilities),
        "SecurityOpt": ["no-new-privileges"],
        "Init": spec.init,
        "Memory": limits.memory_bytes,
        "MemorySwap": limits.memory_bytes,
        # A quota instead of NanoCpus, which Docker refuses above the host's own number.
        "CpuPeriod": _CPU_PERIOD_MICROSECONDS,
        "CpuQuota": max(_MIN_CPU_QUOTA, round(limits.cpus * _CPU_PERIOD_MICROSECONDS)),
        "PidsLimit": limits.pids,
        "OomScoreAdj": spec.oom_score,
        "ShmSize": limits.shm_bytes,
        "Ulimits": _ulimits(limits),
        "LogConfig": _log_config(limits),
        "Mounts": [
            {
                "Type": "bind",
                "Source": mount.host_path,
                "Target": mount.target,
                "ReadOnly": mount.read_only,
            }
            for mount in spec.mounts
        ],
        "PortBindings": {
            f"{port}/tcp": [{"HostPort": host_port}] for port, host_port in spec.ports.items()
        },
        "DeviceRequests": _device_requests(spec),
    }
    if spec.runtime is not None:
        config["Runtime"] = spec.runtime
    return config


def _log_config(limits: Limits) -> JsonValue:
    """Two files of half the size, the older one thrown away when the newer one is full.

    Docker's "json-file" format: "local" loses the newline after a line of more than 16 KiB.
    """
    size = str(max(1, limits.log_bytes // 2))
    return {"Type": "json-file", "Config": {"max-size": size, "max-file": "2"}}


def _ulimits(limits: Limits) -> list[JsonValue]:
    wanted = {"core": 0, "nofile": limits.nofile, "fsize": limits.fsize_bytes}
    return [
        {"Name": name, "Soft": value, "Hard": value}
        for name, value in wanted.items()
        if value is not None
    ]


def _device_requests(spec: ContainerSpec) -> list[JsonValue]:
    if spec.gpus == "none":
        return []
    if spec.gpus == "all":
        return [{"Count": -1, "Capabilities": [["gpu"]]}]
    return [{"DeviceIDs": list(spec.gpus), "Capabilities": [["gpu"]]}]
