"""Trials on tiny random encoders: checks that every method must pass and that take seconds."""
