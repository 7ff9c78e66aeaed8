# Within-class and between-class variability of a task's classes, at every layer of an encoder.


rule variability:
    input:
        dag.variability_inputs,
    output:
        dag.variability_output,
    log:
        f"{dag.logs}/variability/{{encoder}}/{{task}}.log",
    conda:
        "../envs/train.yaml"
    threads: dag.suite.protocols.base.threads
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=60,
    params:
        suite=dag.suite_parameter,
        settings=dag.variability_digest,
    shell:
        "python -m steadytune variability {params.suite:q} {wildcards.encoder:q} {wildcards.task:q} >{log:q} 2>&1"
