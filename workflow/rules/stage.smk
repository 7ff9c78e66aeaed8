# Data sets and encoders into the store, verified against config/lock.yaml.


rule stage_dataset:
    output:
        dag.receipt("datasets", "{key}"),
    log:
        f"{dag.folder}/logs/stage/datasets/{{key}}.log",
    wildcard_constraints:
        key=r"[^/]+/[^/]+/[^/]+",
    retries: 1
    conda:
        "../envs/train.yaml"
    params:
        suite=dag.file,
        pin=lambda wildcards: dag.pin("datasets", wildcards.key),
    shell:
        "python -m steadytune stage {params.suite} datasets {wildcards.key} >{log} 2>&1"


rule stage_encoder:
    output:
        dag.receipt("models", "{key}"),
    log:
        f"{dag.folder}/logs/stage/models/{{key}}.log",
    wildcard_constraints:
        key=r"[^/]+/[^/]+",
    retries: 1
    conda:
        "../envs/train.yaml"
    params:
        suite=dag.file,
        pin=lambda wildcards: dag.pin("models", wildcards.key),
    shell:
        "python -m steadytune stage {params.suite} models {wildcards.key} >{log} 2>&1"
