"""Which of two MR series is the structure, by what their descriptions say."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .find import Series

__all__ = ["structural_one"]

# Most structural first; the first line of the reverse order that fits counts, so that "t2_flair" is a FLAIR.
SEQUENCES = (
    r"t1|mprage|mp2rage|spgr|bravo|flash|vibe|tfe",
    r"t2|space|cube|vista|ciss|fiesta",
    r"pd|proton",
    r"flair|stir|tirm|dark.?fluid",
    r"swi|t2.?star|t2\*|gre|bold|fmri|epi|perf|dsc|dce|asl",
    r"dwi|dti|diff|adc|trace|b\d{3,}",
)


def structural_one(series: Sequence[Series]) -> Series | None:
    """The structure of exactly two MR series: T1 before T2, proton density, FLAIR, susceptibility and diffusion.

    Args:
        series: all that could be meant.

    Returns:
        The one; None where they are not two, or their descriptions do not tell them apart.
    """
    if len(series) != 2:
        return None
    first, second = (_rank(one.description) for one in series)
    if first is None or second is None or first == second:
        return None
    return series[0] if first < second else series[1]


def _rank(description: str) -> int | None:
    for rank, words in reversed(list(enumerate(SEQUENCES))):
        if re.search(rf"(?<![a-z0-9])(?:{words})", description.lower()):
            return rank
    return None
