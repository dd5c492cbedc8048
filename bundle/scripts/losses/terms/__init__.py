"""The terms of the fusion loss, one a file, each with its anchor."""
