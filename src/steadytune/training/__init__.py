"""Fine-tuning one cell: the loop, its batches, precision, determinism and checkpoints."""
