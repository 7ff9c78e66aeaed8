# Tables, figures and the report, all from metrics.parquet and the layers' measurements.


rule tables:
    input:
        dag.metrics,
        dag.layer_studies,
    output:
        report(dag.tables, category="Tables"),
    log:
        f"{dag.folder}/logs/tables.log",
    conda:
        "../envs/analysis.yaml"
    shell:
        "python -m steadytune render {dag.file} tables >{log} 2>&1"


rule figures:
    input:
        dag.metrics,
        dag.layer_studies,
    output:
        report(dag.figures, category="Figures"),
    log:
        f"{dag.folder}/logs/figures.log",
    conda:
        "../envs/analysis.yaml"
    shell:
        "python -m steadytune render {dag.file} figures >{log} 2>&1"


rule report:
    input:
        dag.metrics,
        dag.layer_studies,
        dag.tables,
        dag.figures,
        "notebooks/report.ipynb",
    output:
        dag.report,
    log:
        f"{dag.folder}/logs/report.log",
    conda:
        "../envs/analysis.yaml"
    shell:
        "python -m steadytune render {dag.file} report >{log} 2>&1"
