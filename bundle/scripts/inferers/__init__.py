"""Fusion of arrays, tensors and volumes with the shipped network; torch only, so that it starts fast."""
