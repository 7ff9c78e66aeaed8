"""Analyses of fine-tuned and pretrained encoders, layer by layer."""
