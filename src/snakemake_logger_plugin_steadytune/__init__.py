"""A Snakemake logger that says in one line what runs, how far the suite is, and how long is left.

Snakemake finds it by its name: `snakemake --logger steadytune`. Warnings and errors are shown as Snakemake words them.
"""

import sys
import time
from collections import Counter, defaultdict
from logging import WARNING, LogRecord
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

# Without a terminal to rewrite a line on, a line at most this often (seconds).
QUIET_INTERVAL = 10


class LogHandler(LogHandlerBase):
    """Follows the jobs by their events and estimates the rest from the jobs of each rule that have ended."""

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

    @property
    def writes_to_stream(self) -> bool:
        """Yes: it takes the place of Snakemake's own lines."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """No."""
        return False

    @property
    def has_filter(self) -> bool:
        """No: Snakemake's own filter holds."""
        return False

    @property
    def has_formatter(self) -> bool:
        """No: warnings and errors are worded as Snakemake does."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """No."""
        return False

    def emit(self, record: LogRecord) -> None:
        """Take note of an event; a line that cannot be shown costs no other."""
        # Snakemake calls this in a thread, which an exception would end, and with it all lines.
        try:
            self._follow(record)
        except Exception:
            self.handleError(record)

    def _follow(self, record: LogRecord) -> None:
        """Show an event where it says something new."""
        match getattr(record, "event", None):
            case LogEvent.RUN_INFO:
                first = not self.planned
                self.planned = Counter({rule: n for rule, n in record.__dict__["stats"].items() if rule != "total"})
                # Snakemake says it at the head and at the foot of a dry run.
                if self.common_settings.dryrun and first:
                    jobs = ", ".join(f"{rule} {n}" for rule, n in self.planned.items())
                    self._show(f"{self.planned.total()} jobs to run: {jobs}", keep=True)
            case LogEvent.JOB_INFO if not self.common_settings.dryrun:
                # Comes right after the job's start; only now is there a name to show.
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
                self._show(self._failure(record), keep=True)
            case LogEvent.ERROR if record.__dict__.get("exception") == "RuleException":
                # The same failure in Snakemake's longer words.
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
        """A failed job in a line: what it was about, the last line that it logged, and where the rest is."""
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
        """Seconds left, at the mean duration of each rule so far; None while too little is known."""
        rest = 0.0
        elapsed = time.monotonic() - self.begin
        busy = sum(self.seconds.values())
        for rule, planned in self.planned.items():
            waiting = planned - self.finished[rule]
            if waiting and not self.finished[rule]:
                # Rules of one or two jobs (collect, tables, report) are short; of the many-celled one we must know.
                # Nor do we while one runs for the first time: a pretraining takes minutes.
                if planned > 2 or rule in {self.names.get(job, ("", ""))[0] for job in self.started}:
                    return None
                continue
            rest += waiting * self.seconds[rule] / max(1, self.finished[rule])
        return rest * elapsed / busy if busy else None

    def _show(self, text: str, *, keep: bool = False, now: bool = False) -> None:
        """Rewrite the line on a terminal, where a line to `keep` stays; elsewhere write one at times, or `now`."""
        if sys.stderr.isatty():
            line = text if keep else text[: max(20, _columns() - 1)]
            sys.stderr.write("\r" + line.ljust(self.width) + ("\n" if keep else ""))
            self.width = 0 if keep else len(line)
        elif keep or now or time.monotonic() - self.written > QUIET_INTERVAL:
            sys.stderr.write(text + "\n")
            self.written = time.monotonic()
        sys.stderr.flush()


def _subject(record: LogRecord) -> str:
    """What a job is about: its wildcards as a path."""
    return "/".join(str(value) for value in (record.__dict__.get("wildcards") or {}).values())


def _span(seconds: float) -> str:
    """`95` seconds as `1 min 35 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns
