"""One cell: from its inputs to its record."""
