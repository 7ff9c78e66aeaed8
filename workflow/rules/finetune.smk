# One job = one cell: trains, evaluates in domain and on every transfer set, and writes its record. Cells whose weights
# other jobs read use the rule finetune_kept (inside.smk), which also writes the weights. Weights that the suite keeps
# (`keep`) are no rule's output, because `keep: best` deletes some of them again.


rule finetune:
    input:
        dag.cell_inputs,
    output:
        **dag.cell_outputs(),
    log:
        f"{dag.logs}/finetune/{{encoder}}/{{method}}/{{task}}/seed-{{seed}}.log",
    conda:
        "../envs/train.yaml"
    threads: dag.cell_threads
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=240,
    params:
        suite=dag.suite_parameter,
        # Not used by the command: a changed digest makes Snakemake train the cell again.
        settings=dag.cell_digest,
        cell=dag.cell_name,
        hand_over=dag.handover_option,
    shell:
        "python -m steadytune finetune {params.suite:q} {params.cell:q} {params.hand_over} >{log:q} 2>&1"
