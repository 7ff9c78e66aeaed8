"""Encoders: loading a checkpoint folder, and the one place that knows where the layers of each architecture live."""
