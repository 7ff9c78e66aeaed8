# One job = one cell: trains, evaluates in domain and on every transfer set, and leaves its record.


rule finetune:
    input:
        lambda wildcards: ancient(dag.cell_inputs(wildcards)),
    output:
        **dag.cell_outputs(),
    log:
        f"{dag.folder}/logs/finetune/{{encoder}}/{{method}}/{{task}}/seed-{{seed}}.log",
    conda:
        "../envs/train.yaml"
    params:
        settings=dag.cell_digest,
        cell="{encoder}/{method}/{task}/seed-{seed}",
    threads: dag.cell_threads
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=240,
    shell:
        "python -m steadytune finetune {dag.file} {params.cell} >{log} 2>&1"
