"""Fine-tune one cell: the loop, its steps, the optimiser, precision, checkpoints and resource use."""
