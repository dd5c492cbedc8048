"""The commands of mmif-amin, one a file."""
