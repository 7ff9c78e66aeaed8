"""From results to tables, figures and the report page."""
