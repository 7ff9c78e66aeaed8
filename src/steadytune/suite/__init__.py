"""A suite's file, and the cells it spans."""
