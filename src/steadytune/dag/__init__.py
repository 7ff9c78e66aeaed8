"""What the Snakefile needs, and what `steadytune run` and `steadytune status` do around it."""
