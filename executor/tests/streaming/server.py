"""The program of a streaming job in these tests: HTTP on port 8000, and an echo that is no HTTP.

Runs in a container, with the standard library alone. ``/health`` is as its first argument says:
a status, or several of them for one question after the other.
"""

import hashlib
import socket
import sys
import threading
from typing import BinaryIO

answers = [int(word) for word in sys.argv[1].split(",")]


def serve(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as reader:
        head = reader.readline().split()
        length = body_length(reader)
        match head[1:2] and head[1].strip(b"/").split(b"/"):
            case [b"health"]:
                status = answers.pop(0) if len(answers) > 1 else answers[0]
                answer(connection, status, b"health")
            case [b"take"]:
                answer(connection, 200, digest(reader, length))
            case [b"give", size]:
                give(connection, int(size))
            case [b"echo"]:
                echo(connection)
            case _:
                answer(connection, 404, b"")


def body_length(reader: BinaryIO) -> int:
    length = 0
    while (line := reader.readline()) not in {b"\r\n", b""}:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return length


def digest(reader: BinaryIO, length: int) -> bytes:
    found = hashlib.sha256()
    while length:
        data = reader.read(min(length, 1 << 20))
        length -= len(data)
        found.update(data)
    return found.hexdigest().encode()


def echo(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 101 Echo\r\nUpgrade: echo\r\n\r\n")
    while data := connection.recv(65536):
        connection.sendall(data)


def answer(connection: socket.socket, status: int, body: bytes) -> None:
    head = f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    connection.sendall(head.encode() + body)


def give(connection: socket.socket, size: int) -> None:
    connection.sendall(f"HTTP/1.1 200 x\r\nContent-Length: {size}\r\n\r\n".encode())
    block = bytes(range(256)) * 4096
    for start in range(0, size, len(block)):
        connection.sendall(block[: size - start])


listener = socket.create_server(("0.0.0.0", 8000), backlog=512)
while True:
    accepted, _ = listener.accept()
    threading.Thread(target=serve, args=(accepted,), daemon=True).start()
