"""The trainer of the fusion network and its adaptive loss."""
