# Tables, numbers for running text, figures and the report, all from metrics.parquet and the layers' measurements.
from steadytune.rendering.sections import report_options


rule tables:
    input:
        dag.metrics,
        dag.variability_outputs,
        dag.inside_table,
        dag.prediction_studies,
        dag.claims,
    output:
        dag.latex,
        [path for path in dag.tables if path not in dag.shown_tables],
        [report(path, **report_options("table", path)) for path in dag.shown_tables],
    log:
        f"{dag.logs}/tables.log",
    conda:
        "../envs/analysis.yaml"
    params:
        suite=dag.suite_parameter,
        settings=dag.suite_digest,
    shell:
        "python -m steadytune render {params.suite:q} tables >{log:q} 2>&1"


rule figures:
    input:
        dag.metrics,
        dag.variability_outputs,
        dag.inside_table,
        dag.claims,
    output:
        [path for path in dag.figures if path not in dag.shown_figures],
        [report(path, **report_options("figure", path)) for path in dag.shown_figures],
    log:
        f"{dag.logs}/figures.log",
    conda:
        "../envs/analysis.yaml"
    threads: 2
    params:
        suite=dag.suite_parameter,
        settings=dag.suite_digest,
    shell:
        "python -m steadytune render {params.suite:q} figures --processes {threads} >{log:q} 2>&1"


rule report:
    input:
        dag.metrics,
        dag.variability_outputs,
        dag.inside_table,
        dag.prediction_studies,
        dag.claims,
        # The report shows the figures that the rule above has drawn.
        dag.shown_figures,
    output:
        # Not part of Snakemake's own report: in its frame, browsers show nothing larger than 2 MB.
        dag.report,
    log:
        f"{dag.logs}/report.log",
    conda:
        "../envs/analysis.yaml"
    params:
        suite=dag.suite_parameter,
        settings=dag.suite_digest,
    shell:
        "python -m steadytune render {params.suite:q} report >{log:q} 2>&1"
