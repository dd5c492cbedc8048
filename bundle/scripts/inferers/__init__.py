"""Running the network: on slices of volumes, and in other runtimes."""
