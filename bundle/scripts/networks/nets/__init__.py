"""The three networks: fusion (the one that ships), loss proposal and source reconstruction."""
