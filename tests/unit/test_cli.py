"""The command line reports a mistake in one line and suggests the nearest name."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from steadytune.cli import main
from steadytune.dag.runner import LOCK
from steadytune.locks import hold


@pytest.mark.parametrize(
    ("arguments", "command", "said"),
    [
        (["plna"], "steadytune", "argument COMMAND: unknown 'plna' (did you mean 'plan'?)"),
        (["render", "mini", "tabels"], "steadytune render", "argument what: unknown 'tabels' (did you mean 'tables'?)"),
        (["plan", "--budgt=4h", "mini"], "steadytune plan", "unknown argument '--budgt' (did you mean '--budget'?)"),
        (["plan"], "steadytune plan", "the following arguments are required: SUITE"),
        (
            ["pretrain", "mini.yaml", "out", "--minutes=0"],
            "steadytune pretrain",
            "argument --minutes: '0', expected a number above 0",
        ),
        (
            ["run", "mini", "--cores", "0"],
            "steadytune run",
            "argument --cores: '0', expected all or a whole number above 0",
        ),
    ],
)
def test_usage_error_is_one_line_that_points_to_help(arguments, command, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"{command}: {said}; `{command} --help` says more\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["status", "a" * 300 + ".yaml"], "name too long"), (["site", "--to", "file"], "file"),
     (["new", "suite", "file/x"], "file")],
)  # fmt: skip
def test_unusable_path_is_reported_in_one_line(arguments, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert named in said and said.count("\n") == 1


def test_unknown_command_without_a_near_name_lists_the_commands(capsys):
    with pytest.raises(SystemExit):
        main(["zzz"])
    said = capsys.readouterr().err
    assert said.startswith("steadytune: argument COMMAND: unknown 'zzz'; known: check-method, claims, ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("command", [["methods"], ["new", "claim"]], ids=["much", "one line"])
def test_command_exits_quietly_when_its_reader_closes_the_pipe(tmp_path, command):
    reading, writing = os.pipe()
    os.close(reading)
    arguments = [sys.executable, "-m", "steadytune", *command]
    done = subprocess.run(arguments, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(("command", "status"), [(["methods"], 0), (["status", "no-such-suite"], 2)])
def test_closed_output_streams_do_not_change_the_exit_status(tmp_path, command, status):
    line = 'exec "$@" >&- 2>&-'
    arguments = ["sh", "-c", line, "sh", sys.executable, "-m", "steadytune", *command]
    assert subprocess.run(arguments, cwd=tmp_path, check=False).returncode == status


def test_interrupting_a_waiting_run_prints_one_line(tmp_path):
    command, path = [sys.executable, "-m", "steadytune", "run", "mini"], {"PYTHONPATH": os.pathsep.join(sys.path)}
    with hold(tmp_path / LOCK), subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | path, stderr=subprocess.PIPE, text=True,
        # Tests started in the background of a shell would pass on an ignored SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as waiting:  # fmt: skip
        assert waiting.stderr is not None
        assert "waiting" in waiting.stderr.readline()
        waiting.send_signal(signal.SIGINT)
        (line,) = waiting.stderr.read().splitlines()
        assert "interrupted" in line
    assert waiting.returncode == 130
