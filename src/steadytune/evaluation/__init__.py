"""Evaluation: metrics, prediction, and transfer to sets with other label spaces."""
