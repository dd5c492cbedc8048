"""``mmif-amin detect``: how well planted lesions are found in what each method shows."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..declarations import Command
from ..options import COLORMAP, DATASET_DIR, OUTPUT, SEED, TASKS, TRACKING_URI, WEIGHTS
from ..scripts.utils.enums import ColorMap
from ._comparison import LESIONS, METHOD, NO_CLASSICAL, SPLIT, SPLIT_FILE, data_of, methods_of, planting_of

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "detect",
    "how well planted lesions are found in what each method shows",
    options=(
        replace(OUTPUT, required=False, default="runs/detect"),
        DATASET_DIR,
        replace(METHOD, help="another method's images of the pairs that `plant` wrote: TASK/NAME.png"),
        SPLIT,
        SPLIT_FILE,
        TASKS,
        NO_CLASSICAL,
        *LESIONS,
        SEED,
        replace(
            COLORMAP, help="of PET and SPECT, over the fused lightness and in the overlays", default=str(ColorMap.HOT)
        ),
        WEIGHTS,
        replace(TRACKING_URI, default_text="none"),
    ),
)


def run(args: argparse.Namespace) -> int:
    """Measure, and print the tables."""
    from ..benchmark.detection.run import detect

    folder = Path(args.output)
    detect(
        output_dir=folder,
        methods=methods_of(args.method),
        planting=planting_of(args),
        weights=args.weights,
        classical=not args.no_classical,
        colormap=args.colormap,
        tracking_uri=args.tracking_uri,
        **data_of(args),
    )
    print((folder / "detectability.md").read_text(encoding="utf-8"))
    print(f"everything: {folder / 'detectability.json'}")
    print(f"one row a method and kind of lesion: {folder / 'detectability.csv'}")
    return 0
