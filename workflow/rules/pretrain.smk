# Encoders that the project pretrains itself, on text that it generates.


rule pretrain:
    input:
        dag.pretraining_inputs,
    output:
        dag.receipt("models", "{key}"),
    log:
        f"{dag.logs}/pretrain/{{key}}.log",
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
        config=lambda wildcards: str(dag.pretraining_config(wildcards)),
        folder=lambda wildcards, output: str(Path(output[0]).parent),
        # A function, because the linter takes a plain path for a hard-coded prefix of the output.
        store=lambda wildcards: str(dag.suite.file.store),
    shell:
        "python -m steadytune pretrain {params.config:q} {params.folder:q} --store {params.store:q} >{log:q} 2>&1"


ruleorder: pretrain > stage_encoder
