"""`steadytune run`: sharing a folder with a Snakemake started by hand, staging first, dry runs, and retraining."""

import select
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from steadytune.dag import runner
from steadytune.errors import SteadyTuneError
from steadytune.locks import hold

BY_HAND = "import sys; from steadytune.dag.runner import share_folder; share_folder(); print('works', flush=True)"


@pytest.fixture
def by_hand(tmp_path, monkeypatch):
    """Return a function that starts a process which shares the folder until it reads a line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(runner.STARTED_BY_RUN, raising=False)
    started = []

    def start():
        command = [sys.executable, "-c", f"{BY_HAND}; sys.stdin.readline()"]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True))  # fmt: skip
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=20)


@pytest.fixture
def commands(monkeypatch, tmp_path):
    """The commands that a run in a temporary folder would execute; none is executed."""
    monkeypatch.chdir(tmp_path)
    given = []
    monkeypatch.setattr(
        runner,
        "repair",
        SimpleNamespace(
            restage=lambda suite, dry=False: {},
            unstaged=lambda suite: False,
            set_aside=lambda *_, **__: None,
        ),
    )
    for name in ("redate_future", "keep_dates", "clear_leftovers"):
        monkeypatch.setattr(runner, name, lambda *_, **__: None)
    monkeypatch.setattr(runner, "subprocess", SimpleNamespace(run=lambda command, **_: given.append(command)))
    monkeypatch.setattr(runner, "supervise", lambda command, *_: given.append(command) or (0, False))
    return given


SUITE = SimpleNamespace(
    path=Path("demo.yaml"),
    name="demo",
    cells=(),
    results=Path("results/demo"),
    file=SimpleNamespace(store=Path("store")),
)


def in_background(said, line):
    """Start a run in a thread, and return the thread when the run has logged `line`."""
    thread = threading.Thread(target=runner.run, args=(SUITE, "1", ()), daemon=True)
    thread.start()
    for _ in range(1000):
        if line in said.text:
            return thread
        thread.join(0.02)
    pytest.fail(f"not said in 20 s: {line}")


def test_run_waits_for_a_snakemake_started_by_hand_during_an_earlier_run(by_hand, commands, caplog):
    caplog.set_level("INFO")
    with hold(runner.LOCK):
        process = by_hand()
        assert process.stdout.readline() == "works\n", "it does not wait for the run"
    # The earlier run has ended; the Snakemake continues and holds its own locks.
    runner.LOCKS.mkdir()
    (runner.LOCKS / "0.input.lock").touch()
    run = in_background(caplog, "started by hand works in this folder; waiting for its end")
    assert not commands, "its locks are left alone"
    process.communicate("\n", timeout=20)
    run.join(20)
    assert ["--unlock" in command for command in commands] == [True, False]


def test_snakemake_started_by_hand_waits_only_while_locks_are_cleared(by_hand, commands, monkeypatch):
    runner.LOCKS.mkdir(parents=True)
    (runner.LOCKS / "0.input.lock").touch()
    seen = []

    def give(command, **_):
        process = by_hand()
        if "--unlock" in command:
            assert "is checking this folder" in process.stderr.readline()
        works, _, _ = select.select([process.stdout], [], [], 0.5 if "--unlock" in command else 20)
        seen.append(("--unlock" in command, bool(works)))
        return 0, False

    monkeypatch.setattr(runner.subprocess, "run", give)
    monkeypatch.setattr(runner, "supervise", lambda command, *_: give(command))
    assert runner.run(SUITE, "1", ()) == 0
    assert seen == [(True, False), (False, True)]


def test_snakemake_started_by_run_takes_no_folder_lock(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(runner.STARTED_BY_RUN, "1")
    monkeypatch.setattr(runner, "take", lambda *_, **__: pytest.fail("a lock is taken"))
    runner.share_folder()


@pytest.mark.parametrize("place", ["full/cache", "full"])
def test_unusable_cache_folder_is_reported_before_anything_starts(place, commands, monkeypatch, tmp_path):
    (tmp_path / "full").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / place))
    with pytest.raises(SteadyTuneError, match=rf"^{tmp_path / place}/snakemake: .*XDG_CACHE_HOME[^\n]*$"):
        runner.run(SUITE, "1", ())
    assert not commands
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert runner.run(SUITE, "1", ()) == 0
    assert not list((tmp_path / "cache/snakemake").iterdir())


TARGETS = ("results/demo/metrics.parquet", "--", "collect")


def test_inputs_are_staged_first_and_by_one_run_at_a_time(commands, monkeypatch):
    missing = [True]
    monkeypatch.setattr(runner.repair, "unstaged", lambda suite: bool(missing))
    assert runner.run(SUITE, "1", TARGETS) == 0
    first, second = commands
    # As argparse reads them: the option ends where the next one begins, and targets follow a single value.
    assert first[first.index("--until") :] == ["--until", *runner.STAGING, "--cores", "1", *TARGETS]
    assert second[-5:] == ["--cores", "1", *TARGETS] and "--until" not in second
    commands.clear()
    with hold(Path("store/.locks/inputs.lock")):
        thread = threading.Thread(target=runner.run, args=(SUITE, "1", ()), daemon=True)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive() and not commands
        missing.clear()  # the other run has staged them
    thread.join(10)
    assert not thread.is_alive() and len(commands) == 1 and "--until" not in commands[0]


def test_dry_run_stages_nothing(commands, monkeypatch):
    monkeypatch.setattr(runner.repair, "unstaged", lambda suite: True)
    assert runner.run(SUITE, "1", ("-n", *TARGETS)) == 0
    assert len(commands) == 1


@pytest.mark.parametrize(
    "arguments",
    [["--dag"], ["--rulegraph"], ["-S"], ["--list"], ["--lint"], ["--report", "jobs.html"], ["--unlock"], ["-t"],
     ["--delete-all-output", "-n"], ["--cleanup-metadata", "results/demo/n"], ["-j", "many"]],
)  # fmt: skip
def test_options_that_run_no_job_repair_and_stage_nothing(arguments, commands, monkeypatch):
    asked = []
    monkeypatch.setattr(runner.repair, "restage", lambda suite, dry=False: asked.append(dry) or {})
    monkeypatch.setattr(runner.repair, "unstaged", lambda suite: True)
    runner.run(SUITE, "1", arguments)
    assert not asked
    assert [command[-len(arguments) :] for command in commands] == [arguments]


@pytest.mark.parametrize("arguments", [["-np"], ["-pn"], ["--dryrun"], ["--cores", "1", "--dry-run"]])
def test_every_spelling_of_dry_run_is_recognised(arguments, commands, monkeypatch):
    asked = []
    monkeypatch.setattr(runner.repair, "restage", lambda suite, dry=False: asked.append(dry) or {})
    runner.run(SUITE, "1", arguments)
    assert asked == [True]


@pytest.mark.parametrize("option", ["--set-resources", "--set-threads"])
def test_target_taken_for_an_options_value_is_a_one_line_error(option, commands):
    values = {"--set-resources": "finetune:mem_mb=9", "--set-threads": "finetune=2"}
    with pytest.raises(SteadyTuneError, match=r"^run: [^\n]*another -- before targets$"):
        runner.run(SUITE, "1", (option, values[option], "results/demo/metrics.parquet"))
    assert not commands
    assert runner.run(SUITE, "1", ("-n", option, values[option], "--", "results/demo/metrics.parquet")) == 0


@pytest.mark.parametrize("arguments", [[], ["--forceall"], ["-p"], ["results/demo/n"]])
def test_other_arguments_are_not_taken_for_a_dry_run(arguments, commands, monkeypatch):
    asked = []
    monkeypatch.setattr(runner, "own_results", lambda suite: None)
    monkeypatch.setattr(runner.repair, "restage", lambda suite, dry=False: asked.append(dry) or {})
    runner.run(SUITE, "1", arguments)
    assert asked == [False]


def test_failed_retraining_of_an_encoder_ends_the_run(commands, monkeypatch, tmp_path):
    receipt = tmp_path / "receipt.json"
    monkeypatch.setattr(runner, "own_results", lambda suite: None)
    monkeypatch.setattr(runner.repair, "restage", lambda suite, dry=False: {receipt: 1})
    monkeypatch.setattr(runner, "supervise", lambda command, *_: commands.append(command) or (3, False))
    assert runner.run(SUITE, "1", ()) == 3
    assert [command[-1] for command in commands] == [str(receipt)]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], []),
        (["--profile", "profiles/slurm"], ["--profile", "profiles/slurm"]),
        (["--profile", "profiles/slurm", "--", "collect"], ["--profile", "profiles/slurm"]),
        (["-k", "collect", "tables"], ["-k"]),
        (["-k", "collect", "tables", "--retries", "3"], ["-k", "--retries", "3"]),
        (["collect", "--profile", "profiles/slurm"], ["--profile", "profiles/slurm"]),
        (["--until", "collect", "--", "collect"], ["--until", "collect"]),
        (["collect", "tables"], []),
    ],
)
def test_encoder_is_retrained_with_the_options_of_the_run(arguments, options, commands, monkeypatch, tmp_path):
    receipt = tmp_path / "receipt.json"
    receipt.touch()
    monkeypatch.setattr(runner, "own_results", lambda suite: None)
    monkeypatch.setattr(runner.repair, "restage", lambda suite, dry=False: {receipt: 1})
    assert runner.run(SUITE, "1", arguments) == 0
    training = commands[0]
    assert training[training.index("--cores") :] == [
        *("--cores", "1", *options, "--until", *runner.STAGING, "--", str(receipt))
    ]
