"""Python code of the bundle: ``scripts`` for its configs, ``mmif_amin.scripts`` once installed."""

from pathlib import Path

BUNDLE_ROOT = str(Path(__file__).resolve().parents[1])
