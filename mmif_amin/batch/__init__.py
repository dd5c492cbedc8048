"""Fusing many studies: finding them, public names for them, one after the other, and the table ``batch.csv``."""
