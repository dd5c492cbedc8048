"""Rigid and affine registration of two volumes by mutual information."""
