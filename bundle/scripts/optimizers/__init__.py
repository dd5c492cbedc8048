"""Optimizers that neither torch nor MONAI has."""
