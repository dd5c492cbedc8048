"""The two-level trainer and the preparation of its batches."""
