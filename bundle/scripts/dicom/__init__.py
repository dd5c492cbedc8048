"""DICOM: finding and choosing series, their geometry and units, privacy, and writing derived series."""
