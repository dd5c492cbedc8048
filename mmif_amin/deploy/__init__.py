"""The product as a MONAI Deploy app: a folder of DICOM in, the fused series out.

Everything here but ``preview`` imports the MONAI Deploy SDK, which is no dependency of the product; see README.md.
"""
