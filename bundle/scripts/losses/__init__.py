"""Losses: their base, the fixed and the adaptive one, the teachers of the adaptive one, and the terms of all."""
