"""Data lists, pictures, NIfTI volumes, the studies of one patient, and the report of a fused study."""
