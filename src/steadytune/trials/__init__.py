"""Trials on tiny random encoders: checks that every method has to pass, in seconds."""
