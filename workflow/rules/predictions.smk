# Tables computed from single predictions: scores on slices of evaluation sets, calibration, churn between seeds.


rule predictions:
    input:
        dag.records,
    output:
        dag.prediction_paths,
    log:
        f"{dag.logs}/predictions.log",
    conda:
        "../envs/analysis.yaml"
    params:
        suite=dag.suite_parameter,
        settings=dag.suite_digest,
    shell:
        "python -m steadytune predictions {params.suite:q} >{log:q} 2>&1"
