"""Trials on tiny random encoders: what a method is held to, in seconds."""
