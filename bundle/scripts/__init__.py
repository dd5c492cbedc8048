"""The model: what the configs of this bundle name. The package mmif_amin imports it as ``mmif_amin.scripts``."""

import os
from pathlib import Path

# MLflow and ONNX Runtime would tell their makers of each run, and keep an id for that in the home folder. They look at
# this when they are imported; who wants to tell sets it to 0 or false.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

BUNDLE_ROOT = str(Path(__file__).resolve().parents[1])
