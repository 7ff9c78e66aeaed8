"""A job's own process: it hands its command to the worker, relays signals, and ends as the job ended."""

import os
import signal
import socket
from contextlib import suppress

from steadytune.worker.request import ADDRESS, STATUS, Request

RELAYED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def hand_over(arguments: list[str]) -> int | None:
    """Have the run's worker do a command; its exit status, or None if this process must do the command itself.

    That is so without a worker, if the worker cannot do this command, and if it ended before the command did.
    """
    address, parent = os.environ.get(ADDRESS), os.getppid()
    if not address:
        return None
    with socket.socket(socket.AF_UNIX) as connection:
        # A signal that comes before there is a job to relay it to waits.
        signal.pthread_sigmask(signal.SIG_BLOCK, RELAYED)
        relayed: list[int] = []

        def relay(number: int, _: object) -> None:
            relayed.append(number)
            # If the worker has just ended, what becomes of the command is decided below.
            with suppress(OSError):
                connection.send(bytes([number]))

        kept = [number for number in RELAYED if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, relay) for number in kept}
        try:
            connection.connect(address)
            Request.of_this_process(arguments).send(connection)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, RELAYED)
            answer = connection.recv(STATUS.size, socket.MSG_WAITALL)
        except OSError:
            answer = b""
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, RELAYED)
    if len(answer) == STATUS.size:
        code = STATUS.unpack(answer)[0]
        return 128 - code if code < 0 else code
    if relayed:
        return 128 + relayed[0]
    # Without the process that started this one there is no run any more that waits for the command.
    return None if os.getppid() == parent else 128 + signal.SIGTERM
