"""Fusion metrics in the field's own conventions: a function and a Metric class each, one family a file."""
