"""Ignite handlers that MONAI lacks: metrics by task, the loss's decisions, example pictures, exact resume."""
