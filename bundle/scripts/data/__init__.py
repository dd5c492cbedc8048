"""Data lists: which files make a pair."""
