"""A suite's results as analyses, plans, tables and figures read them: loaded once, grouped by cell, in points."""
