"""Parameter-free layers."""
