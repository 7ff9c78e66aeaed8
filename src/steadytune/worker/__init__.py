"""One process that has imported what jobs need, and forks for each of them: nothing is imported twice in a run."""
