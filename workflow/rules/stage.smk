# Stage data sets and encoders into the store, verified against config/lock.yaml. The suite is not a param of these
# rules: suites share the store, and a change of suite must not stage again what is already there.


rule stage_dataset:
    output:
        dag.receipt("datasets", "{key}"),
    log:
        f"{dag.logs}/stage/datasets/{{key}}.log",
    wildcard_constraints:
        key=r"[^/]+/[^/]+/[^/]+",
    retries: 1
    conda:
        "../envs/train.yaml"
    params:
        pin=lambda wildcards: dag.pin("datasets", wildcards.key),
    shell:
        f"python -m steadytune stage {dag.quoted_file} datasets {{wildcards.key:q}} >{{log:q}} 2>&1"


rule stage_encoder:
    output:
        dag.receipt("models", "{key}"),
    log:
        f"{dag.logs}/stage/models/{{key}}.log",
    wildcard_constraints:
        key=r"[^/]+/[^/]+",
    retries: 1
    conda:
        "../envs/train.yaml"
    params:
        pin=lambda wildcards: dag.pin("models", wildcards.key),
    shell:
        f"python -m steadytune stage {dag.quoted_file} models {{wildcards.key:q}} >{{log:q}} 2>&1"
