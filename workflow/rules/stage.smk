# Data sets and encoders into the store, verified against config/lock.yaml.


rule stage_dataset:
    output:
        dag.receipt("datasets", "{key}"),
    log:
        f"{dag.folder}/logs/stage/datasets/{{key}}.log",
    conda:
        "../envs/train.yaml"
    params:
        pin=lambda wildcards: dag.pin("datasets", wildcards.key),
    wildcard_constraints:
        key=r"[^/]+/[^/]+/[^/]+",
    retries: 1
    shell:
        "python -m steadytune stage {dag.file} datasets {wildcards.key} >{log} 2>&1"


rule stage_encoder:
    output:
        dag.receipt("models", "{key}"),
    log:
        f"{dag.folder}/logs/stage/models/{{key}}.log",
    conda:
        "../envs/train.yaml"
    params:
        pin=lambda wildcards: dag.pin("models", wildcards.key),
    wildcard_constraints:
        key=r"[^/]+/[^/]+",
    retries: 1
    shell:
        "python -m steadytune stage {dag.file} models {wildcards.key} >{log} 2>&1"
