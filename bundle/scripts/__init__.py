"""The model: what the configs of this bundle name. The package mmif_amin imports it as ``mmif_amin.scripts``."""

from pathlib import Path

BUNDLE_ROOT = str(Path(__file__).resolve().parents[1])
