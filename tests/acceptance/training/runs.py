"""Trainings as processes of their own, which start at once because what they import is there already."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

SMALL = {
    "epochs": "3",
    "val-interval": "1",
    "batch-size": "4",
    "patch-size": "48",
    "meta-interval": "2",
    "teacher#warmup": "1",
    "network_def#channels": "16",
    "network_def#growth": "[4,4]",
    "network_def#decoder_channels": "8",
    "optimum-steps": "0",
}
PRELOADED = ["mlflow.store.tracking.sqlalchemy_store", "mmif_amin.workflow", "mmif_amin.scripts.handlers.tracking"]
PRELOADED += ["mmif_amin.scripts.engines.fusion_trainer", "mmif_amin.scripts.metrics.suite", "ignite.handlers"]


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def import_everything() -> None:
    """Start the process that imports what all trainings need, and wait until it has."""
    process = _context().Process(target=int)
    process.start()
    process.join()


def begin(output: Path, data: Path, environment: Mapping[str, str] | None = None, **options: str) -> BaseProcess:
    """Start ``mmif-amin train``; what it prints goes to OUTPUT.log."""
    words = [f"--{key}={value}" for key, value in {**SMALL, **options}.items()]
    words = ["train", "--output", str(output), "--dataset-dir", str(data), *words]
    process = _context().Process(target=_train, args=(words, f"{output}.log", dict(environment or {})))
    process.start()
    return process


def _train(words: list[str], log: str, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    from mmif_amin.cli import main

    sys.exit(main(words))
