"""Statements of papers, their evidence and verdicts."""
