# Encoders that the project pretrains itself, from text that it generates.


rule pretrain:
    input:
        dag.pretraining_inputs,
    output:
        dag.receipt("models", "{key}"),
    log:
        f"{dag.folder}/logs/pretrain/{{key}}.log",
    wildcard_constraints:
        key=dag.pretrained_pattern,
    conda:
        "../envs/train.yaml"
    threads: dag.pretraining_threads
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=240,
    params:
        settings=dag.pretraining_digest,
    shell:
        f"python -m steadytune pretrain {dag.file} {{wildcards.key}} >{{log}} 2>&1"


ruleorder: pretrain > stage_encoder
