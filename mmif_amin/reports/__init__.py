"""Pages and pictures that show results: the page of a fused study, the picture of a loss map."""
