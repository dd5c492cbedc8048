"""Blocks of the fusion network, one concept a file; ``store`` names them."""
