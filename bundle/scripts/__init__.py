"""Python code of the MMIF-AMIN bundle: imported as ``scripts`` by the configs and as ``mmif_amin.scripts`` once installed."""

from pathlib import Path

BUNDLE_ROOT = str(Path(__file__).resolve().parents[1])
