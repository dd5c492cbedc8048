"""Archives: fusing from and to DICOMweb, and a DICOM node with a queue on disk. Needs the extra ``[archive]``."""
