"""DICOM objects beside the written series: registration, blending, loss maps."""
