"""Dictionary transforms that MONAI lacks: loading a pair, and giving the fused image its colours back."""
