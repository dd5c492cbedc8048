"""The figures of detectability as Markdown, and as the HTML page takes them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from ...scripts.utils.tables import markdown_table
from .result import MEAN, TaskDetection

__all__ = ["EXPLANATION", "markdown_agreement", "markdown_detection", "page_detection"]

EXPLANATION = (
    "Lesions are planted in one source alone, and a model observer looks for them. A and B: detectability d' of "
    "lesions of source A and of source B in what a method shows, over d' in the source itself. Smaller: the smaller of "
    "both. A copy of A has 1 and 0. Above 1: the other source explains part of the clutter, or the colors lift lesions "
    "out of it. Brackets: 95 % interval, whole patients drawn (single images where there is one patient)."
)

NONE = [[(math.nan,) * 3] * 3]  # figures of what is not shown in one of the two ways


def _cell(found: Any) -> str:
    """A figure with its interval, or a dash where there were too few lesions."""
    value, low, high = found
    return "-" if math.isnan(value) else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def markdown_detection(found: TaskDetection, italic: Collection[str] = ()) -> str:
    """Render the figures of one task: means over all kinds of lesions, then the smaller side by kind.

    Args:
        found: the figures.
        italic: methods that are no fusions.
    """
    if not found.lesions.any():
        return "There was no room for lesions: nowhere do both sources show something in a large enough disc.\n"
    lesions = ", ".join(
        f"{kind} {' + '.join(map(str, count))} (d' {' and '.join('-' if math.isnan(d) else f'{d:.2f}' for d in of)})"
        for kind, count, of in zip(found.kinds, found.lesions.tolist(), found.sources.tolist(), strict=True)
    )
    names = {name: f"*{name}*" if name in italic else name for name in found.by_smaller()}
    shown = [("gray", found.gray), *([("color", found.color)] if found.color else [])]
    rows = [
        [title, *(_cell(part) for _, of in shown for part in of.get(name, NONE)[-1])] for name, title in names.items()
    ]
    header = ["method", *(f"{part}, {way}" for way, _ in shown for part in ("A", "B", "smaller"))]
    text = f"Lesions planted in A + B, and d' of the observer in these sources: {lesions}.\n\n"
    text += markdown_table(header, rows)
    if len(found.kinds) == 1:
        return text
    header = ["A / B, gray", *found.kinds]
    by_kind = [
        [names[name], *(f"{a:.2f} / {b:.2f}" for a, b in of[:-1, :2, 0])]
        for name, of in sorted(found.gray.items(), key=lambda item: list(names).index(item[0]))
    ]
    return f"{text}\n{markdown_table(header, by_kind)}"


def markdown_agreement(agreement: Mapping[str, Mapping[str, float]]) -> str:
    """Render how far each metric puts methods in the same order as the detectability does."""
    if not agreement:
        return "Kendall's tau with the detectability: too few methods that can be ordered.\n"
    methods = int(next(iter(agreement.values()))["methods"])
    rows = [
        [f"tau over {methods} methods", *(f"{found['tau']:.2f}" for found in agreement.values())],
        ["p", *(f"{found['p']:.2g}" for found in agreement.values())],
    ]
    head = "Kendall's tau between each metric and the smaller part in gray; 1: they order the methods alike.\n\n"
    return head + markdown_table(["", *agreement], rows)


def page_detection(found: TaskDetection, agreement: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """What the script of the benchmark's page works on."""

    def rounded(values: Any) -> Any:
        if isinstance(values, list):
            return [rounded(value) for value in values]
        return None if math.isnan(values) else round(values, 3)

    return {
        "kinds": [MEAN, *found.kinds],
        "lesions": found.lesions.tolist(),
        "sources": rounded(found.sources.tolist()),
        "rows": [
            {
                "name": name,
                **{
                    way: rounded([of[name][-1].tolist(), *of[name][:-1].tolist()]) if name in of else None
                    for way, of in (("gray", found.gray), ("color", found.color))
                },
            }
            for name in found.by_smaller()
        ],
        "agreement": {metric: [round(value["tau"], 2), round(value["p"], 4)] for metric, value in agreement.items()},
    }
