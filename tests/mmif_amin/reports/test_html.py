from __future__ import annotations

import json

import pytest

from mmif_amin.reports.html import fill_template, json_for_script

TEXTS = [
    pytest.param("</script><script>alert(1)</script>", id="end of a script"),
    pytest.param("<!-- <script>", id="comment"),
    pytest.param("&lt; &amp;", id="entities"),
    pytest.param("\u2028\u2029", id="ends of lines"),
    pytest.param('größer \U0001f9e0 \\ " \n', id="other letters"),
]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_is_safe_in_a_script_and_stays_what_it_is(text):
    written = json_for_script({"text": text, text: [1.5, None, True]})
    assert written.isascii()
    assert not set("<>&\n") & set(written)
    assert json.loads(written) == {"text": text, text: [1.5, None, True]}


def test_a_content_that_looks_like_a_place_stays_what_it_is():
    assert fill_template("/*A*/ and /*B*/", {"/*A*/": "/*B*/", "/*B*/": r"\1 /*A*/"}) == r"/*B*/ and \1 /*A*/"


@pytest.mark.parametrize("template", ["no place", "twice: /*A*/ /*A*/"])
def test_each_place_is_there_once(template):
    with pytest.raises(ValueError, match=r"`template` must hold /\*A\*/ once, it holds it [02] times"):
        fill_template(template, {"/*A*/": ""})
