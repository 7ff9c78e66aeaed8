# What fine-tuning changes inside an encoder. Weights are temporary: they are deleted after they have been analysed and
# the cells that start from them have run.


# The same command for cells whose weights other jobs read (those that the pattern matches); also writes the weights.
use rule finetune as finetune_kept with:
    output:
        **dag.cell_outputs("{cell}"),
        model=temp(dag.handover),
    log:
        f"{dag.logs}/finetune/{{cell}}.log",
    wildcard_constraints:
        cell=dag.handover_pattern,


ruleorder: finetune_kept > finetune


rule inside:
    input:
        dag.inside_inputs,
    output:
        dag.inside_outputs(),
    log:
        f"{dag.logs}/inside/{{cell}}.log",
    wildcard_constraints:
        cell=dag.handover_pattern,
    conda:
        "../envs/train.yaml"
    threads: dag.cell_threads
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=60,
    params:
        suite=dag.suite_parameter,
        settings=dag.inside_digest,
    shell:
        "python -m steadytune inside {params.suite:q} {wildcards.cell:q} >{log:q} 2>&1"


rule inside_before:
    input:
        dag.inside_before_inputs,
    output:
        dag.inside_before,
    log:
        f"{dag.logs}/inside/{{encoder}}/before/{{task}}.log",
    conda:
        "../envs/train.yaml"
    threads: dag.suite.protocols.base.threads
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=60,
    params:
        suite=dag.suite_parameter,
        settings=dag.inside_digest,
    shell:
        "python -m steadytune inside-before {params.suite:q} {wildcards.encoder:q} {wildcards.task:q} >{log:q} 2>&1"


rule inside_table:
    input:
        dag.inside_studies,
    output:
        dag.inside_table_path,
    log:
        f"{dag.logs}/inside.log",
    conda:
        "../envs/analysis.yaml"
    params:
        suite=dag.suite_parameter,
        settings=dag.suite_digest,
    shell:
        "python -m steadytune inside-table {params.suite:q} >{log:q} 2>&1"
