"""What each command does with its options; its docstring is its help. What one needs it imports when it runs."""

from steadytune.commands.inputs import lock, pin, pretrain, pretraining_curve, stage, subsets
from steadytune.commands.jobs import (
    collect,
    finetune,
    inside,
    inside_before,
    inside_table,
    predictions,
    render,
    variability,
)
from steadytune.commands.results import claims, compare, export, model, simulate, site
from steadytune.commands.starting import check_method, methods, new
from steadytune.commands.suites import plan, record, run, status, verify

__all__ = [
    "check_method",
    "claims",
    "collect",
    "compare",
    "export",
    "finetune",
    "inside",
    "inside_before",
    "inside_table",
    "lock",
    "methods",
    "model",
    "new",
    "pin",
    "plan",
    "predictions",
    "pretrain",
    "pretraining_curve",
    "record",
    "render",
    "run",
    "simulate",
    "site",
    "stage",
    "status",
    "subsets",
    "variability",
    "verify",
]
