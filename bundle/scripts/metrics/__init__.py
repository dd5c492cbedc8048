"""Fusion metrics in the field's own conventions, one a file."""
