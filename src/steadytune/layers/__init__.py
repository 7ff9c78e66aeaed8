"""Measurements of an encoder's layers."""
