"""The workflow as a module of another workflow."""

import re
import shlex

import pytest

SNAKEFILE = """
configfile: "outer.yaml"

rule all:
    input: "summary.txt"

module steadytune:
    snakefile: {snakefile!r}
    config: {{"suite": "mini"}}

use rule * from steadytune exclude all as steadytune_*

rule summary:
    input: "results/mini/tables/main.md"
    output: "summary.txt"
    shell: "wc -l <{{input}} >{{output}}; echo done >>{{output}}"
"""


def test_another_workflow_runs_a_suite_and_uses_its_table(project):
    grid = [{"encoders": ["mini"], "methods": ["vanilla"], "tasks": ["mini-rte"], "seeds": 1}]
    project.edit("config/mini.yaml", lambda value: value.update(grid=grid))
    outer = project.folder / "outer.smk"
    outer.write_text(SNAKEFILE.format(snakefile=str(project.folder / "Snakefile")))
    outer.with_suffix(".yaml").write_text("samples: [a, b]\n")
    done = project.snakemake("--snakefile", outer.name)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "steadytune_finetune" in done.stdout
    lines, last = (project.folder / "summary.txt").read_text().split()
    assert int(lines) == len((project.results / "tables/main.md").read_text().splitlines())
    assert last == "done"


@pytest.mark.parametrize(
    ("option", "key"),
    [("seeds=3", "seeds"), ("suite=minni", "did you mean 'mini'"), ("suite=7", "unknown suite '7'"),
     ("seeds=3 --configfile config/mini.yaml", "seeds"), ("suite=start --configfile config/mini.yaml", "suite")],
)  # fmt: skip
def test_config_option_that_does_not_name_one_known_suite_is_refused(project, option, key):
    done = project.run(*shlex.split(f"snakemake -n --config {option}"))
    assert done.returncode != 0
    assert key in done.stdout


def test_workflow_catalogue_suite_is_planned_in_its_own_folder(project):
    arguments = ("-n", "--directory", ".test", "--configfile", ".test/test.yaml")
    done = project.snakemake(*arguments)
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"^finetune +4$", done.stdout, re.MULTILINE)
