"""The three nets: fusion (the one that ships), loss proposal and source reconstruction; ``store`` names them."""
