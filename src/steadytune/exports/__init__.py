"""Exports of a finished suite to other tools' formats."""
