"""Reports: what the benchmark found, as Markdown and as one self-contained page."""
