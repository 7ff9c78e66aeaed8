"""Tasks: their table, their label spaces, their splits as training reads them, and the mini language."""
