"""``mmif-amin values``: the functional values that the colors of a fused picture or study stand for."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..declarations import Argument, Command, Option
from ..options import OUTPUT
from ..scripts.utils.enums import ColorMap

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "values",
    "read PET or SPECT values back from the colors of a fused picture or study",
    (Argument("source", "COLORED", "picture, RGB NIfTI volume, or folder of a fused study; of ember or gold"),),
    (
        OUTPUT,
        Option(
            "colormap",
            "which map colored it",
            choices=(ColorMap.EMBER, ColorMap.GOLD),
            default_text="what the study's report says, else ember",
        ),
        Option(
            "low", "value of the lowest color", parse=float, metavar="VALUE", default_text="the study's lowest, else 0"
        ),
        Option(
            "high",
            "value of the highest color",
            parse=float,
            metavar="VALUE",
            default_text="the study's highest, else 1",
        ),
    ),
)


def run(args: argparse.Namespace) -> int:
    """Read the values, write them, and say of how much of the picture."""
    import numpy as np

    from ..color_values import write_values

    values = write_values(Path(args.source), Path(args.output), args.colormap, args.low, args.high)
    print(f"{args.output}: values of {np.isfinite(values).mean():.0%}; NaN where it is too dark or too bright")
    return 0
