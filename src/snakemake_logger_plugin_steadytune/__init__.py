"""A Snakemake logger that shows in one line what is running, how far the suite is, and how much time is left.

Snakemake finds it by its name: `snakemake --logger steadytune`. Warnings and errors keep Snakemake's wording.
"""

import sys
import time
from collections import Counter, defaultdict
from logging import WARNING, LogRecord
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

# Minimum seconds between progress lines if there is no terminal on which to rewrite one line.
QUIET_INTERVAL = 10


class LogHandler(LogHandlerBase):
    """Follows the jobs by their events, and estimates the time left from the finished jobs of each rule."""

    def __post_init__(self) -> None:
        """Start with no jobs."""
        self.planned: Counter[str] = Counter()
        self.finished: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.names: dict[int, tuple[str, str]] = {}
        self.started: dict[int, float] = {}
        self.begin = time.monotonic()
        self.written = 0.0
        self.width = 0
        self.failed = False

    @property
    def writes_to_stream(self) -> bool:
        """Yes: it replaces Snakemake's own lines."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """No."""
        return False

    @property
    def has_filter(self) -> bool:
        """No: Snakemake's own filter applies."""
        return False

    @property
    def has_formatter(self) -> bool:
        """No: Snakemake formats warnings and errors."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """No."""
        return False

    def emit(self, record: LogRecord) -> None:
        """Handle an event; an error while showing one line does not stop later lines."""
        # Snakemake calls this in a thread, which an exception would end, and all output with it.
        try:
            self._follow(record)
        except Exception:
            self.handleError(record)

    def _follow(self, record: LogRecord) -> None:
        """Record an event, and show a line if there is something new."""
        match getattr(record, "event", None):
            case LogEvent.RUN_INFO:
                first = not self.planned
                self.planned = Counter({rule: n for rule, n in record.__dict__["stats"].items() if rule != "total"})
                # A dry run emits this event at its start and at its end.
                if self.common_settings.dryrun and first:
                    jobs = ", ".join(f"{rule} {n}" for rule, n in self.planned.items())
                    self._show(f"{self.planned.total()} jobs to run: {jobs}", keep=True)
            case LogEvent.JOB_INFO if not self.common_settings.dryrun:
                # Comes right after the job's start; only now is its name known.
                rule = record.__dict__["rule_name"]
                new = all(rule != known for known, _ in self.names.values())
                self.names[record.__dict__["jobid"]] = (rule, _subject(record))
                self._show(self._line(), now=new)
            case LogEvent.JOB_STARTED:
                self.started |= dict.fromkeys(record.__dict__["jobs"], time.monotonic())
            case LogEvent.JOB_FINISHED:
                self._finish(record.__dict__["job_id"])
            case LogEvent.JOB_ERROR:
                self.started.pop(record.__dict__["jobid"], None)
                self.failed = True
                self._show(self._failure(record), keep=True)
            case LogEvent.ERROR if self.failed and record.__dict__.get("exception") == "RuleException":
                # The failure of a JOB_ERROR again, at greater length; without one, the rules themselves are wrong.
                pass
            case LogEvent.ERROR if record.__dict__.get("exception") == "LockException":
                self._show("another run works on files of this suite: wait for its end, or stop it", keep=True)
            case _ if record.levelno >= WARNING:
                self._show(self.format(record), keep=True)

    def _finish(self, job: int) -> None:
        rule = self.names.get(job, ("?", ""))[0]
        self.finished[rule] += 1
        self.seconds[rule] += time.monotonic() - self.started.pop(job, time.monotonic())
        if sum(self.finished.values()) == sum(self.planned.values()):
            self._show(f"[{self._count()}] done in {_span(time.monotonic() - self.begin)}", keep=True)
        else:
            self._show(self._line())

    def _failure(self, record: LogRecord) -> str:
        """A line on a failed job: its name, the last line that it logged, and the path of its log."""
        about = " ".join(self.names.get(record.__dict__["jobid"], ("?", ""))).strip()
        for path in map(Path, record.__dict__.get("log") or ()):
            if path.is_file():
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
                last = next((line for line in reversed(lines) if line.strip()), "nothing logged")
                return f"failed: {about}: {last} (see {path})"
        return f"failed: {about}"

    def _count(self) -> str:
        total = str(sum(self.planned.values()))
        return f"{sum(self.finished.values()):>{len(total)}}/{total}"

    def _line(self) -> str:
        running = [" ".join(self.names.get(job, ("?", ""))).strip() for job in self.started]
        left = self._left()
        rest = f", about {_span(left)} left" if left is not None else ""
        return f"[{self._count()}] {', '.join(running) or 'scheduling'}{rest}"

    def _left(self) -> float | None:
        """Seconds left, from the mean duration of each rule's jobs so far; None while too little is known."""
        rest = 0.0
        elapsed = time.monotonic() - self.begin
        busy = sum(self.seconds.values())
        for rule, planned in self.planned.items():
            waiting = planned - self.finished[rule]
            if waiting and not self.finished[rule]:
                # Rules of one or two jobs (collect, tables, report) are short and do not count. There is no estimate
                # before every larger rule has finished a job, nor while any rule runs for the first time: a pretraining
                # takes minutes.
                if planned > 2 or rule in {self.names.get(job, ("", ""))[0] for job in self.started}:
                    return None
                continue
            rest += waiting * self.seconds[rule] / max(1, self.finished[rule])
        return rest * elapsed / busy if busy else None

    def _show(self, text: str, *, keep: bool = False, now: bool = False) -> None:
        """Rewrite the line on a terminal, and `keep` it if asked.

        Without a terminal, write a new line; skip it if the last one is recent, unless it is to `keep` or due `now`.
        """
        if sys.stderr.isatty():
            line = text if keep else text[: max(20, _columns() - 1)]
            sys.stderr.write("\r" + line.ljust(self.width) + ("\n" if keep else ""))
            self.width = 0 if keep else len(line)
        elif keep or now or time.monotonic() - self.written > QUIET_INTERVAL:
            sys.stderr.write(text + "\n")
            self.written = time.monotonic()
        sys.stderr.flush()


def _subject(record: LogRecord) -> str:
    """A job's subject: its wildcards as a path."""
    return "/".join(str(value) for value in (record.__dict__.get("wildcards") or {}).values())


def _span(seconds: float) -> str:
    """A duration in words: 95 seconds as `1 min 35 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns
