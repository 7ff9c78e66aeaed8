"""A finished suite in the forms that others read."""
