"""Run Snakemake so that a signal ends it together with all of its jobs, which leave their checkpoints."""

import logging
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

log = logging.getLogger(__name__)

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def supervise(command: Sequence[str], environment: Mapping[str, str], lock: int) -> tuple[int, bool]:
    """Run a command in a separate process group.

    SIGINT, SIGTERM and SIGHUP reach only this process. The first of them asks the whole group to end; a second one
    kills it. Ctrl-Z pauses the group as well.

    Args:
        command: Snakemake's command line.
        environment: its environment.
        lock: the descriptor of a lock, which Snakemake inherits and so holds while it runs.

    Returns:
        The exit status (128 plus the signal's number if a signal ended it), and whether a signal ended it.
    """
    asked: list[int] = []
    process: subprocess.Popen | None = None

    def send(number: int) -> None:
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def end(number: int, _: object) -> None:
        # Recorded first, because the next signal may arrive while this one is handled.
        asked.append(number)
        send(signal.SIGKILL if len(asked) > 1 else signal.SIGTERM)
        if len(asked) == 1:
            log.info("stopping every job, with a checkpoint; a second signal kills them")

    def pause(*_: object) -> None:
        send(signal.SIGSTOP)
        # Execution continues here after SIGCONT.
        os.kill(os.getpid(), signal.SIGSTOP)
        send(signal.SIGCONT)

    # Signals that the caller ignores, as under nohup, stay ignored.
    heeded = [number for number in (*ENDING, signal.SIGTSTP) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, pause if number == signal.SIGTSTP else end) for number in heeded}
    try:
        process = subprocess.Popen(command, env=environment, pass_fds=(lock,), process_group=0)
        if asked:
            send(signal.SIGTERM)
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return (128 + asked[0], True) if asked else (status, False)
