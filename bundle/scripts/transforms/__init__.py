"""MONAI transforms of pairs, colors and volumes."""
