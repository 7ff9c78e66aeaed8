"""The request that a job's client sends to the worker. Both import this module, so it imports next to nothing."""

import os
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

ADDRESS = "STEADYTUNE_WORKER"
"""The environment variable with the path of the worker's socket."""
STATUS = struct.Struct("!i")
"""The worker's answer: a job's exit code, negative if a signal ended it."""
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a process to end: the worker ignores them, and a job reacts as its client would."""
_LENGTH = struct.Struct("!I")


class Request:
    """A command, and everything that the job inherits from the client's process."""

    def __init__(
        self,
        interpreter: str,
        arguments: list[str],
        folder: str,
        umask: int,
        ignored: Sequence[int],
        environment: dict[str, str],
    ) -> None:
        self.interpreter, self.arguments, self.folder = interpreter, arguments, folder
        self.umask, self.ignored, self.environment = umask, ignored, environment

    @classmethod
    def of_this_process(cls, arguments: list[str]) -> "Request":
        """A request for what this process would do with `arguments`."""
        umask = os.umask(0)
        os.umask(umask)
        # For example, `nohup` ignores SIGHUP.
        ignored = [number for number in ENDING if signal.getsignal(number) == signal.SIG_IGN]
        return cls(interpreter(), arguments, str(Path.cwd()), umask, ignored, dict(os.environ))

    def send(self, connection: socket.socket) -> None:
        """Send the request, together with this process's standard streams."""
        ignored = ",".join(str(int(number)) for number in self.ignored)
        fields = [self.interpreter, self.folder, str(self.umask), ignored, str(len(self.arguments)), *self.arguments]
        fields += [f"{name}={value}" for name, value in self.environment.items()]
        # None of the fields can contain a null byte.
        message = b"\0".join(map(os.fsencode, fields))
        socket.send_fds(connection, [_LENGTH.pack(len(message))], [0, 1, 2])
        connection.sendall(message)

    @classmethod
    def receive(cls, connection: socket.socket) -> tuple["Request", list[int]]:
        """Receive a request and the sender's standard streams, which the caller must close.

        Raises:
            OSError: the sender ended before sending everything.
        """
        head, streams, _, _ = socket.recv_fds(connection, _LENGTH.size, 3)
        try:
            if len(head) < _LENGTH.size or len(streams) < 3:
                raise ConnectionResetError("the request is incomplete")
            message = _receive(connection, _LENGTH.unpack(head)[0])
        except OSError:
            for stream in streams:
                os.close(stream)
            raise
        interpreter, folder, umask, ignored, count, *rest = map(os.fsdecode, message.split(b"\0"))
        environment = dict(entry.split("=", 1) for entry in rest[int(count) :])
        numbers = [int(number) for number in ignored.split(",") if number]
        return cls(interpreter, rest[: int(count)], folder, int(umask), numbers, environment), streams


def interpreter() -> str:
    """What two processes must share for one to do the other's work: the interpreter, its environment and this code.

    The interpreter is identified by device and inode, because the same path may be another file in a container or on
    another machine.
    """
    found = Path(sys.executable).stat()
    return f"{sys.prefix} {found.st_dev} {found.st_ino} {sys.version} {Path(__file__).parent}"


def _receive(connection: socket.socket, size: int) -> bytes:
    message = b""
    while len(message) < size:
        part = connection.recv(size - len(message))
        if not part:
            raise ConnectionResetError("the request is incomplete")
        message += part
    return message
