"""What fine-tuning changes inside an encoder: one module per measurement; `stage` and `collect` for the workflow.

Sources: HyPe (arXiv 2212.08853, sec. 5 and App. G), LNSR (arXiv 2107.04835, Figure 1).
"""
