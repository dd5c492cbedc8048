"""What the HTML pages share."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["content_hash", "content_policy", "fill_template", "json_for_script"]

ESCAPES = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&"}


def content_hash(text: str) -> str:
    r"""The word with which a content security policy allows one inline script or style.

    Args:
        text: what stands between the tags, with ``\n`` as its ends of lines.

    Reference: W3C, "Content Security Policy Level 3", 2.3.1.

    Example:
        >>> content_hash("alert(1)")
        "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def content_policy(scripts: Sequence[str], style: str) -> str:
    """The policy with which a browser runs a page's own scripts, shows its pictures, and fetches and sends nothing.

    Args:
        scripts: what stands between the tags of each script.
        style: what stands between the tags of its style.

    Example:
        >>> content_policy(["alert(1)"], "")[:70]
        "default-src 'none'; script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y"
    """
    return (
        f"default-src 'none'; script-src {' '.join(map(content_hash, scripts))}; style-src {content_hash(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


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
