"""A job's own process: it hands its command to the worker, relays signals, and exits with the job's status."""

import os
import signal
import socket
from contextlib import suppress

from steadytune.worker.request import ADDRESS, STATUS, Request

RELAYED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def hand_over(arguments: list[str]) -> int | None:
    """Have the run's worker execute a command; its exit status, or None if this process must execute it itself.

    It must if there is no worker, if the worker cannot execute this command, or if the worker ended first.
    """
    address, parent = os.environ.get(ADDRESS), os.getppid()
    if not address:
        return None
    with socket.socket(socket.AF_UNIX) as connection:
        # Hold back signals until there is a job to relay them to.
        signal.pthread_sigmask(signal.SIG_BLOCK, RELAYED)
        relayed: list[int] = []

        def relay(number: int, _: object) -> None:
            relayed.append(number)
            # If the worker has just ended, the code below decides what happens to the command.
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
    # If the parent process is gone, no run is waiting for this command.
    return None if os.getppid() == parent else 128 + signal.SIGTERM
