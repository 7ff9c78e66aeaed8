"""Tables, figures and the report page, made from a suite's results."""
