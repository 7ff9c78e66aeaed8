"""A suite's file, and the cells that it spans."""
