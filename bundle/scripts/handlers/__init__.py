"""Ignite handlers that MONAI lacks.

Of a training: validation, exact resume, MLflow, curves, the loss's decisions, example pictures. Of an evaluation:
metrics by task. Of a study: what is written.
"""
