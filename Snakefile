# One suite, from its config file to its report. Parsing stays light (no torch): every cluster job parses this again.
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.0")

sys.path.insert(0, str(Path(workflow.basedir) / "src"))

from steadytune.dag import Dag
from steadytune.errors import SteadyTuneError

try:
    dag = Dag.load(workflow.configfiles, config)
except SteadyTuneError as error:
    raise WorkflowError(str(error)) from None

# Jobs call the package where it stands, installed or not; conda jobs start with an empty PYTHONPATH.
shell.prefix(f"set -euo pipefail; export PYTHONPATH={workflow.basedir}/src; ")


wildcard_constraints:
    encoder=r"[^/]+",
    method=r"[^/]+",
    task=r"[^/]+",
    seed=r"\d+",


include: "workflow/rules/stage.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/variability.smk"
include: "workflow/rules/finetune.smk"
include: "workflow/rules/collect.smk"
include: "workflow/rules/render.smk"


localrules:
    all,
    collect,
    tables,
    figures,
    report,


rule all:
    default_target: True
    input:
        dag.records,
        dag.tables,
        dag.figures,
        dag.report,
