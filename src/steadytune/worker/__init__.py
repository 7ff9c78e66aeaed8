"""One process that imports what jobs need and forks for each job, so nothing is imported twice in a run."""
