"""Encoders: load checkpoint folders, and find the layers of every architecture, in this one place."""
