# Encoders that the project pretrains itself, from text that it generates.


rule pretrain:
    input:
        lambda wildcards: ancient(dag.pretraining_inputs(wildcards)),
    output:
        dag.receipt("models", "{key}"),
    log:
        f"{dag.folder}/logs/pretrain/{{key}}.log",
    conda:
        "../envs/train.yaml"
    params:
        settings=dag.pretraining_digest,
    wildcard_constraints:
        key=dag.pretrained_pattern,
    threads: dag.pretraining_threads
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=240,
    shell:
        "python -m steadytune pretrain {dag.file} {wildcards.key} >{log} 2>&1"


ruleorder: pretrain > stage_encoder
