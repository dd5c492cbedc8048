"""Enums, argument checks and torch-only helpers; nothing here imports MONAI, so that the command line starts fast."""
