"""DICOM: finding, choosing and reading series (frames, stack, geometry, pixels, SUV), privacy, and writing a series."""
