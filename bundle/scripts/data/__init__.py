"""Data lists, studies, and reading pictures and volumes."""
