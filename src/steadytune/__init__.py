"""SteadyTune: a reproducibility benchmark for stable fine-tuning of pretrained language models."""

__version__ = "0.1.0"
