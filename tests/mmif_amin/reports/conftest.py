"""One browser, with the page of a study, for all tests that click or press keys."""

from __future__ import annotations

import pytest

from mmif_amin.reports.study_view import write_study_view
from tests.mmif_amin.reports.browser import Browser
from tests.mmif_amin.reports.made_up_study import write_labels, write_study


@pytest.fixture(scope="session")
def study_page(tmp_path_factory):
    study = write_study(tmp_path_factory.mktemp("study"))
    write_labels(study)
    return write_study_view(study)


@pytest.fixture(scope="session")
def browser(tmp_path_factory, study_page):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    browser.open(study_page)
    yield browser
    browser.close()


@pytest.fixture
def page(browser, study_page):
    """The page side by side in gray with all planes and its first windows; nothing may go wrong or be fetched."""
    if not browser.run("location.href").startswith(study_page.as_uri()):
        browser.open(study_page)
    for text in ("side by side", "all planes", "gray", "fused detail", "off", "reset"):
        browser.press(text)
    yield browser
    wrong = {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"}
    assert [event for event in browser.events if event["method"] in wrong] == []
    requests = [event["params"]["request"]["url"] for event in browser.events if "request" in event.get("params", {})]
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
