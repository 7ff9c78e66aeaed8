# One suite, from its config file to its report. Parsing stays light (no torch): every cluster job parses this again.
import gc
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.0")

# A plan for thousands of jobs holds millions of long-lived objects: collect garbage less often.
gc.set_threshold(100_000, 50, 1000)

# Another workflow may use this one as a module: then that one's folder is `workflow.basedir`.
source = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)) / "src"
sys.path.insert(0, str(source))

from steadytune.dag.dag import Dag, in_command
from steadytune.errors import SteadyTuneError
from steadytune.cells.leases import gpu_slots
from steadytune.rendering.sections import report_options
from steadytune.dag.runner import share_folder
from steadytune.dag.termination import pass_on_termination
from steadytune.worker.launch import start_worker

# Registers a Snakemake that was started by hand, so that `steadytune run` waits for it before it clears locks.
if workflow.is_main_process:
    share_folder()
else:
    # A job's time limit may reach this process alone.
    pass_on_termination()

try:
    dag = Dag.load(workflow.configfiles, config)
    # Nothing else limits GPU jobs on one machine; a value on the command line wins. A cluster counts for itself, and
    # what one of its jobs may use is settled before Snakemake starts there.
    if workflow.is_main_process and workflow.resource_settings.nodes is None and (gpus := gpu_slots()):
        workflow.global_resources.setdefault("gpu", gpus)
except SteadyTuneError as error:
    raise WorkflowError(str(error)) from None

# Jobs call the package where it stands, installed or not; conda jobs start with an empty PYTHONPATH. Without a shell
# that waits for it, a job gets Snakemake's signals itself; the rules of a workflow around this one may need the shell.
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH={in_command(str(source))}; "
    + ("exec " if workflow.modifier.is_main_snakefile() else "")
)


onstart:
    # Jobs of this machine and this environment fork from one process.
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
