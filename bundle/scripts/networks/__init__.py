"""The networks of MMIF-AMIN, built of MONAI's layers: nets, their blocks and layers, and stores that name them."""
