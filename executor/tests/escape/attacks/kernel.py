"""What a job asks of the kernel that only the host's owner may. Runs inside the job.

`python3 /script.py NAME` prints what came of it: the kernel's refusal by its name, or "done". The
requests are such that the host stays as it is even where they are granted.
"""

import ctypes
import errno
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
NUMBERS = {
    "x86_64": {
        "add_key": 248,
        "bpf": 321,
        "clone": 56,
        "finit_module": 313,
        "init_module": 175,
        "kexec_load": 246,
        "keyctl": 250,
        "open_by_handle_at": 304,
        "perf_event_open": 298,
        "userfaultfd": 323,
    },
    "aarch64": {
        "add_key": 217,
        "bpf": 280,
        "clone": 220,
        "finit_module": 273,
        "init_module": 105,
        "kexec_load": 104,
        "keyctl": 219,
        "open_by_handle_at": 265,
        "perf_event_open": 241,
        "userfaultfd": 282,
    },
}[platform.machine()]
NEW_MOUNTS = {"open_tree": 428, "fsopen": 430, "mount_setattr": 442}
CLONE3 = 435

CLONE_NEWNS, CLONE_NEWCGROUP = 0x00020000, 0x02000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_REMOUNT, MS_BIND = 32, 4096
AT_FDCWD, OPEN_TREE_CLONE = -100, 1
PTRACE_ATTACH = 16
SYSLOG_ACTION_READ_ALL = 3
REBOOT_MAGIC, REBOOT_MAGIC_2, REBOOT_CTRL_ALT_DEL_OFF = 0xFEE1DEAD, 672274793, 0


def checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def call(name: str, *arguments: object) -> int:
    return checked(LIBC.syscall({**NUMBERS, **NEW_MOUNTS}[name], *arguments))


def mount(source: str, target: str, kind: str, flags: int = 0) -> None:
    checked(LIBC.mount(source.encode(), target.encode(), kind.encode(), flags, None))


def unshare(flags: int) -> None:
    checked(LIBC.unshare(flags))


def clone_into_a_user_namespace() -> None:
    if call("clone", CLONE_NEWUSER | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os._exit(0)


def clone3_into_a_user_namespace() -> None:
    wanted = (ctypes.c_uint64 * 8)(CLONE_NEWUSER, 0, 0, 0, signal.SIGCHLD)
    if checked(LIBC.syscall(CLONE3, wanted, ctypes.sizeof(wanted))) == 0:
        os._exit(0)


def enter_a_namespace(kind: str) -> None:
    checked(LIBC.setns(os.open(f"/proc/1/ns/{kind}", os.O_RDONLY), 0))


def open_the_root_by_its_handle() -> None:
    handle = (ctypes.c_uint32 * 4)(8, 1, 2, 0)
    call("open_by_handle_at", os.open("/volume", os.O_RDONLY), handle, os.O_RDONLY)


def set_the_clock() -> None:
    time.clock_settime(time.CLOCK_REALTIME, time.time())


def reboot() -> None:
    checked(LIBC.syscall(_reboot(), REBOOT_MAGIC, REBOOT_MAGIC_2, REBOOT_CTRL_ALT_DEL_OFF, None))


def _reboot() -> int:
    return 169 if platform.machine() == "x86_64" else 142


def make_a_device(kind: int, major: int, minor: int) -> None:
    os.mknod("/output/device", kind | 0o666, os.makedev(major, minor))


def load_a_module_from_a_file() -> None:
    call("finit_module", os.open("/script.py", os.O_RDONLY), b"", 0)


def trace_the_first_process() -> None:
    """The first process here is this one: there is no other to attach to."""
    checked(LIBC.ptrace(PTRACE_ATTACH, 1, None, None))


def become_another_user() -> None:
    os.setuid(12345)


def run_before_all_others() -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def spare_me_from_the_out_of_memory_killer() -> None:
    Path("/proc/self/oom_score_adj").write_text("-1000")


def raise_a_limit() -> None:
    LIBC.setrlimit.argtypes = (ctypes.c_int, ctypes.c_void_p)
    core = 4
    checked(LIBC.setrlimit(core, (ctypes.c_uint64 * 2)(1 << 30, 1 << 30)))


BLOCK, CHARACTER = 0o060000, 0o020000

ATTACKS: dict[str, Callable[[], object]] = {
    "mount a tmpfs": lambda: mount("none", "/tmp", "tmpfs"),  # noqa: S108 - the job's own
    "mount proc": lambda: mount("proc", "/output", "proc"),
    "mount sysfs": lambda: mount("sysfs", "/output", "sysfs"),
    "mount a control group": lambda: mount("none", "/output", "cgroup"),
    "mount the host's disk": lambda: mount("/dev/vda", "/output", "ext4"),
    "bind the root elsewhere": lambda: mount("/", "/output", "none", MS_BIND),
    "make /proc/sys writable": lambda: mount("none", "/proc/sys", "none", MS_REMOUNT | MS_BIND),
    "uncover /proc/keys": lambda: checked(LIBC.umount2(b"/proc/keys", 0)),
    "clone a mount": lambda: call("open_tree", AT_FDCWD, b"/", OPEN_TREE_CLONE),
    "open a file system": lambda: call("fsopen", b"tmpfs", 0),
    "change a mount's flags": lambda: call("mount_setattr", AT_FDCWD, b"/sys", 0, bytes(32), 32),
    "pivot the root": lambda: checked(LIBC.pivot_root(b"/output", b"/output")),
    "change the root": lambda: os.chroot("/output"),
    "unshare users": lambda: unshare(CLONE_NEWUSER),
    "unshare mounts": lambda: unshare(CLONE_NEWNS),
    "unshare processes": lambda: unshare(CLONE_NEWPID),
    "unshare the network": lambda: unshare(CLONE_NEWNET),
    "unshare users and control groups": lambda: unshare(CLONE_NEWUSER | CLONE_NEWCGROUP),
    "clone into a user namespace": clone_into_a_user_namespace,
    "clone3 into a user namespace": clone3_into_a_user_namespace,
    "enter the mounts of the first process": lambda: enter_a_namespace("mnt"),
    "enter the network of the first process": lambda: enter_a_namespace("net"),
    "open the host's root by its handle": open_the_root_by_its_handle,
    "trace the first process": trace_the_first_process,
    "make the disk's device": lambda: make_a_device(BLOCK, 254, 0),
    "make /dev/mem": lambda: make_a_device(CHARACTER, 1, 1),
    "make /dev/kmsg": lambda: make_a_device(CHARACTER, 1, 11),
    "read the kernel's messages": lambda: checked(
        LIBC.klogctl(SYSLOG_ACTION_READ_ALL, ctypes.create_string_buffer(99), 99)
    ),
    "load a module": lambda: call("init_module", b"\x7fELF", 4, b""),
    "load a module from a file": load_a_module_from_a_file,
    "load another kernel": lambda: call("kexec_load", 0, 0, None, 0),
    "reboot": reboot,
    "swap to a file": lambda: checked(LIBC.swapon(b"/script.py", 0)),
    "account for processes": lambda: checked(LIBC.acct(b"/output/accounts")),
    "set the clock": set_the_clock,
    "set the host's name": lambda: checked(LIBC.sethostname(b"escaped", 7)),
    "read a kernel key": lambda: call("keyctl", 0, -3, 0, 0, 0),
    "add a kernel key": lambda: call("add_key", b"user", b"escape", b"x", 1, -3),
    "load a kernel program": lambda: call("bpf", 5, bytes(128), 128),
    "watch the host's performance": lambda: call("perf_event_open", bytes(128), -1, 0, -1, 0),
    "handle page faults": lambda: call("userfaultfd", 0),
    "become another user": become_another_user,
    "take a higher priority": lambda: os.nice(-10),
    "run before all others": run_before_all_others,
    "be spared when memory is short": spare_me_from_the_out_of_memory_killer,
    "raise a limit": raise_a_limit,
}


def outcome(attack: Callable[[], object]) -> str:
    try:
        attack()
    except OSError as refusal:
        return errno.errorcode[refusal.errno or 0]
    return "done"


if __name__ == "__main__":
    print(outcome(ATTACKS[sys.argv[1]]))  # noqa: T201 - the job's answer
