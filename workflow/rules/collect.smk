# Collect all records into one long table: a row for each cell x evaluation set x metric.


rule collect:
    input:
        dag.records,
    output:
        dag.metrics,
    log:
        f"{dag.logs}/collect.log",
    conda:
        "../envs/analysis.yaml"
    params:
        suite=dag.suite_parameter,
        settings=dag.suite_digest,
    shell:
        "python -m steadytune collect {params.suite:q} >{log:q} 2>&1"
