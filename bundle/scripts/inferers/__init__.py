"""Running the network: what a weights file needs to run, the runtimes, large images in tiles, volumes in slices."""
