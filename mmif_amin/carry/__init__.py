"""Carrying structures that were drawn on a source, RTSTRUCT contours and DICOM SEG, to the fusion grid."""
