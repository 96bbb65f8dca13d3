"""Opens files for writing, but by way of io_uring. Runs inside the job.

Filters of system calls do not see what is asked for in a ring. Prints each refusal, or "done".
"""

import ctypes
import errno
import mmap
import os
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
SETUP, ENTER = 425, 426
PARAMETERS_BYTES, ENTRY_BYTES = 120, 64
SUBMISSIONS, COMPLETIONS, FIRST_ANSWER, ENTRIES = 40, 80, 100, 0x10000000
TAIL, ARRAY = SUBMISSIONS + 4, SUBMISSIONS + 24
OPEN_AT, HERE, WAIT_FOR_IT = 18, -100, 1


def number(of: bytearray, at: int) -> int:
    return int(struct.unpack_from("I", of, at)[0])


def checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def opened(path: str) -> int:
    """What the kernel answered: a descriptor, or an error below 0."""
    parameters = bytearray(PARAMETERS_BYTES)
    buffer = (ctypes.c_char * PARAMETERS_BYTES).from_buffer(parameters)
    ring = checked(LIBC.syscall(SETUP, 1, buffer))
    shared = mmap.mmap(ring, mmap.PAGESIZE, offset=0)
    entries = mmap.mmap(ring, ENTRY_BYTES, offset=ENTRIES)
    name = ctypes.create_string_buffer(path.encode())
    request = (OPEN_AT, 0, 0, HERE, 0, ctypes.addressof(name), 0, os.O_WRONLY)
    struct.pack_into("BBHiQQII", entries, 0, *request)
    struct.pack_into("I", shared, number(parameters, ARRAY), 0)
    struct.pack_into("I", shared, number(parameters, TAIL), 1)
    checked(LIBC.syscall(ENTER, ring, 1, 1, WAIT_FOR_IT, None, 0))
    answer = number(parameters, FIRST_ANSWER)
    return int(struct.unpack_from("Qi", shared, answer)[1])


def outcome(path: str) -> str:
    try:
        answer = opened(path)
    except OSError as refusal:
        answer = -(refusal.errno or 0)
    return errno.errorcode[-answer] if answer < 0 else "done"


if __name__ == "__main__":
    print(*map(outcome, sys.argv[1:]))  # noqa: T201 - the job's answer
