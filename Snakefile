# One suite, from its config file to its report. Parsing stays light (no torch): every cluster job parses this again.
import gc
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.0")

# A DAG of thousands of jobs holds millions of long-lived objects: collect garbage less often.
gc.set_threshold(100_000, 50, 1000)

# Not `workflow.basedir`: if another workflow uses this one as a module, that is the outer workflow's folder.
source = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)) / "src"
sys.path.insert(0, str(source))

from steadytune.cells.leases import gpu_slots
from steadytune.dag.dag import Dag, quoted
from steadytune.dag.runner import share_folder
from steadytune.dag.termination import pass_on_termination
from steadytune.errors import SteadyTuneError
from steadytune.worker.launch import start_worker

if workflow.is_main_process:
    # While this Snakemake runs, `steadytune run` must not mistake its locks for those of a killed run.
    share_folder()
else:
    # When a cluster ends a job, the signal may reach only this process.
    pass_on_termination()

# As a module, this workflow reads the config that the outer workflow passes on, not the outer command line.
alone = workflow.modifier.is_main_snakefile()
try:
    dag = Dag.load(workflow.configfiles if alone else (), workflow.config_settings.config if alone else config)
    # Snakemake does not know how many GPUs this machine has. A value on the command line takes precedence. On a
    # cluster, the scheduler assigns GPUs to jobs.
    if workflow.is_main_process and workflow.resource_settings.nodes is None and (gpus := gpu_slots()):
        workflow.global_resources.setdefault("gpu", gpus)
except SteadyTuneError as error:
    raise WorkflowError(str(error)) from None

# Jobs find the package in this folder even if it is not installed; conda jobs start with an empty PYTHONPATH. `exec`
# replaces the shell, so that signals reach the job itself. It is left out in a module, because the outer workflow's own
# rules may need the shell.
shell.prefix(f"set -euo pipefail; export PYTHONPATH={quoted(str(source))}; " + ("exec " if alone else ""))


onstart:
    # Jobs on this machine and in this environment fork from one process that has imported torch.
    if workflow.resource_settings.nodes is None and not workflow.deployment_settings.deployment_method:
        start_worker()


# Built from apptainer.def; only `--sdm apptainer` looks at it.
container: "steadytune.sif"


report: "workflow/report/workflow.rst"


wildcard_constraints:
    encoder=r"[^/]+",
    method=r"[^/]+",
    task=r"[^/]+",
    seed=r"\d+",


include: "workflow/rules/stage.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/variability.smk"
include: "workflow/rules/finetune.smk"
include: "workflow/rules/inside.smk"
include: "workflow/rules/collect.smk"
include: "workflow/rules/predictions.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/render.smk"


localrules:
    all,
    stage_dataset,
    stage_encoder,
    inside_table,
    collect,
    predictions,
    claims,
    tables,
    figures,
    report,


rule all:
    default_target: True
    input:
        dag.records,
        dag.metrics,
        dag.inside_table,
        dag.prediction_studies,
        dag.claims,
        dag.tables,
        dag.latex,
        dag.figures,
        dag.report,
