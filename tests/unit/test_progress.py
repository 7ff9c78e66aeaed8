"""The progress line: the current job, the progress and the time left; each failure in one line."""

import logging
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

import snakemake_logger_plugin_steadytune as progress


@pytest.fixture
def handler(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress, "QUIET_INTERVAL", -1)
    made = progress.LogHandler(SimpleNamespace(dryrun=False), None)
    made.pass_time = lambda seconds: now.__setitem__(0, now[0] + seconds)
    return made


def tell(handler, event, level=logging.INFO, message="", **fields):
    record = logging.makeLogRecord({"event": event, "levelno": level, "msg": message, **fields})
    handler.emit(record)


def start(handler, job, rule, **wildcards):
    tell(handler, LogEvent.JOB_STARTED, jobs=[job])
    tell(handler, LogEvent.JOB_INFO, jobid=job, rule_name=rule, wildcards=wildcards)


def last_line(capsys):
    return capsys.readouterr().err.splitlines()[-1]


def test_progress_line_names_the_job_and_estimates_the_time_left(handler, capsys):
    tell(handler, LogEvent.RUN_INFO, stats={"finetune": 4, "collect": 1, "total": 5})
    start(handler, 1, "finetune", encoder="mini", seed="0")
    assert last_line(capsys) == "[0/5] finetune mini/0"
    handler.pass_time(30)
    tell(handler, LogEvent.JOB_FINISHED, job_id=1)
    start(handler, 2, "finetune", encoder="mini", seed="1")
    # One of four took 30 s, and they run one after another; collect has never run and counts as short.
    assert last_line(capsys) == "[1/5] finetune mini/1, about 1 min 30 s left"


def test_no_time_left_is_shown_while_a_rule_runs_for_the_first_time(handler, capsys):
    tell(handler, LogEvent.RUN_INFO, stats={"stage": 2, "pretrain": 1, "total": 3})
    for job in (1, 2):
        start(handler, job, "stage")
        handler.pass_time(1)
        tell(handler, LogEvent.JOB_FINISHED, job_id=job)
    start(handler, 3, "pretrain", key="mini")
    assert last_line(capsys) == "[2/3] pretrain mini"


def test_failure_to_show_one_line_does_not_lose_the_next(handler, capsys, monkeypatch):
    tell(handler, LogEvent.RUN_INFO, stats={"finetune": 2, "total": 2})
    with monkeypatch.context() as patched:
        patched.setattr(progress.LogHandler, "_show", lambda *_, **__: 1 / 0)
        start(handler, 1, "finetune")
    tell(handler, LogEvent.JOB_FINISHED, job_id=1)
    assert last_line(capsys).startswith("[1/2]")


def test_time_left_accounts_for_parallel_jobs(handler, capsys):
    tell(handler, LogEvent.RUN_INFO, stats={"finetune": 6, "total": 6})
    start(handler, 1, "finetune")
    start(handler, 2, "finetune")
    handler.pass_time(30)
    tell(handler, LogEvent.JOB_FINISHED, job_id=1)
    tell(handler, LogEvent.JOB_FINISHED, job_id=2)
    assert last_line(capsys).endswith("about 1 min 0 s left")


def test_last_line_shows_the_total_time(handler, capsys):
    tell(handler, LogEvent.RUN_INFO, stats={"collect": 1, "total": 1})
    start(handler, 1, "collect")
    handler.pass_time(3700)
    tell(handler, LogEvent.JOB_FINISHED, job_id=1)
    assert last_line(capsys) == "[1/1] done in 1 h 1 min"


def test_failed_job_is_one_line_with_the_last_line_of_its_log(handler, capsys, tmp_path):
    log = tmp_path / "cell.log"
    log.write_text("Traceback\n  …\nsteadytune: store/x: corrupted\n\n")
    start(handler, 7, "finetune", encoder="mini", seed="0")
    tell(handler, LogEvent.JOB_ERROR, logging.ERROR, jobid=7, rule_name="finetune", log=[str(log)])
    tell(handler, LogEvent.ERROR, logging.ERROR, "the same in many words", exception="RuleException")
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == f"failed: finetune mini/0: steadytune: store/x: corrupted (see {log})"


def test_error_in_the_rules_before_any_job_is_shown(handler, capsys):
    tell(handler, LogEvent.ERROR, logging.ERROR, "rule stage_dataset: wildcards", exception="RuleException")
    assert last_line(capsys) == "rule stage_dataset: wildcards"


def test_other_errors_are_shown_and_info_messages_are_not(handler, capsys):
    tell(handler, LogEvent.ERROR, logging.ERROR, "WorkflowError: bad suite", exception="WorkflowError")
    assert last_line(capsys) == "WorkflowError: bad suite"
    tell(handler, None, logging.INFO, "chatter")
    assert capsys.readouterr().err == ""


def test_lock_of_another_run_is_a_one_line_error(handler, capsys):
    message = "Error: Directory cannot be locked. Please make sure that no other\nprocess …"
    tell(handler, LogEvent.ERROR, logging.ERROR, message, exception="LockException")
    assert capsys.readouterr().err == "another run works on files of this suite: wait for its end, or stop it\n"


def test_dry_run_prints_the_number_of_jobs_once(handler, capsys):
    handler.common_settings.dryrun = True
    tell(handler, LogEvent.RUN_INFO, stats={"finetune": 4, "collect": 1, "total": 5})
    start(handler, 1, "finetune", encoder="mini", seed="0")
    tell(handler, LogEvent.RUN_INFO, stats={"finetune": 4, "collect": 1, "total": 5})
    assert capsys.readouterr().err == "5 jobs to run: finetune 4, collect 1\n"
