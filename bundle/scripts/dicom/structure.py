"""Which of two MR series is the structure, by what their descriptions say."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .find import Series

__all__ = ["structural_one"]

# Most structural first; the first line of the reverse order that fits counts, so that "t2_flair" is a FLAIR.
T1 = r"t1|mprage|mp2rage|spgr|bravo|flash|vibe|tfe"
SEQUENCES = (
    T1,
    r"t2|space|cube|vista|ciss|fiesta",
    r"pd|proton",
    r"flair|stir|tirm|dark.?fluid",
    r"gre",
    r"swi|swan|t2.?star|t2\*|bold|fmri|epi|perf|dsc|dce|asl",
    r"dwi|dti|diff|adc|trace|apparent|b\d{3,}",
)
CONTRASTS = 5  # the first lines are contrasts: of them "t1" wins, as in "t1_space", "T1 FLAIR" and "T1 GRE"
PREFIXES = r"(?:ax|sag|cor|tra|o|s|f|e|d|ir|iso|[23]d|wip)*"  # that scanners write without a blank before


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
    text = description.lower()
    for rank, words in reversed(list(enumerate(SEQUENCES))):
        if _says(words, text):
            return 0 if rank < CONTRASTS and _says(T1, text) else rank
    return None


def _says(words: str, text: str) -> bool:
    return re.search(rf"(?<![a-z0-9]){PREFIXES}(?:{words})", text) is not None
