"""Tasks: the task table (with the mini language's tasks), label spaces, and splits as training reads them."""
