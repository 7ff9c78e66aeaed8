# Judge every claim that the suite names.


rule claims:
    input:
        dag.metrics,
        dag.variability_outputs,
        dag.claim_files,
    output:
        dag.claims_path,
    log:
        f"{dag.logs}/claims.log",
    conda:
        "../envs/analysis.yaml"
    params:
        suite=dag.suite_parameter,
        settings=dag.suite_digest,
    shell:
        "python -m steadytune claims {params.suite:q} --write >{log:q} 2>&1"
