"""Losses: the adaptive one, the fixed one for the ablation, and the source-reconstruction error that teaches."""
