"""Rigid and affine registration of two volumes of one patient: preparation, search with elastix, plausibility."""
