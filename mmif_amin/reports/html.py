"""What the HTML pages share."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["fill_template", "json_for_script"]

ESCAPES = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&"}


def json_for_script(data: Any) -> str:
    r"""Data as JSON that can stand inside of a ``<script>`` element.

    A text in it can neither end the element (``</script>``) nor open a comment (``<!--``): ``<``, ``>`` and ``&`` are
    written as escapes, and so is everything outside of ASCII, such as U+2028 and U+2029, which older JavaScript takes
    for ends of lines.

    Args:
        data: what ``json.dumps`` takes.

    Reference: HTML standard, 4.12.1.3, restrictions for contents of script elements.

    Example:
        >>> print(json_for_script("</script> <!-- & \u2028"))
        "\u003c/script\u003e \u003c!-- \u0026 \u2028"
    """
    return json.dumps(data).translate(ESCAPES)


def fill_template(template: str, contents: Mapping[str, str]) -> str:
    """Put contents into the places of a template, all at once, so that no content is taken for a place.

    Args:
        template: the text; each place must be in it exactly once.
        contents: place to content.

    Raises:
        ValueError: When a place is not in the template exactly once.

    Example:
        >>> fill_template("<p>A</p><p>B</p>", {"A": "B", "B": "C"})
        '<p>B</p><p>C</p>'
    """
    for place in contents:
        if template.count(place) != 1:
            raise ValueError(f"`template` must hold {place} once, it holds it {template.count(place)} times.")
    return re.sub("|".join(map(re.escape, contents)), lambda match: contents[match[0]], template)
