"""What several metrics compute from the same images: correlation, edges, histograms, similarity, visual information."""
