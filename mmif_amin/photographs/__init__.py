"""Photographs: infrared and visible, several focus settings, several exposures."""
