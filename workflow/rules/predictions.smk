# What single predictions tell: scores on slices of evaluation sets, calibration, churn between seeds.


rule predictions:
    input:
        dag.records,
    output:
        f"{dag.folder}/analysis/slices.parquet",
        f"{dag.folder}/analysis/calibration.parquet",
    log:
        f"{dag.folder}/logs/predictions.log",
    conda:
        "../envs/analysis.yaml"
    params:
        suite=dag.file,
        settings=dag.suite_digest,
    shell:
        "python -m steadytune predictions {params.suite} >{log} 2>&1"
