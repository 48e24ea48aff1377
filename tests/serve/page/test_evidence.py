"""Evidence on the page: what is quoted, what is named, and what becomes a link."""

import pytest

from tests.serve.page.browser import barriers, screenshot
from tests.serve.page.test_page import judge

pytestmark = pytest.mark.slow


def test_evidence_quotes_the_text_and_names_the_passage(visit, behaviour):
    text = "🌊 The captain said: <the> sea, the sea! " * 20
    start, end = text.index("captain", 100), text.index("sea!", 150) + 4
    behaviour.verdict = {"evidence": evidence_for(start, end)}
    page = visit()
    judge(page, text)
    quoted = page.locator("#evidence-list blockquote")
    assert quoted.count() == 1 and quoted.text_content() == text[start:end]
    said = page.locator("#evidence-list").inner_text()
    assert "19 of 20 words the same; in 3 passages of 2 sub-datasets." in said
    assert "harbour-press-novels · Harbour Press Ltd · All rights reserved" in said
    link = page.locator("#evidence-list a")
    assert link.inner_text() == "The <Long> Watch"
    assert link.get_attribute("href") == "https://example.org/watch"
    assert link.get_attribute("rel") == "noreferrer noopener"
    # An address that is none becomes no link.
    assert page.locator("#evidence-nearest").inner_text() == "Nearest passages"
    page.locator("#evidence-nearest summary").click()
    assert "novels-9" in page.locator("#evidence-nearest ol").inner_text()
    assert page.locator("#evidence-nearest a").count() == 0
    assert page.locator("#evidence-stock summary").inner_text() == "1 stock phrase or notice"
    page.locator("#evidence-list button").click()
    assert page.evaluate("getSelection().toString()").split() == text[start:end].split()
    assert barriers(page) == []
    page.locator("#evidence").scroll_into_view_if_needed()
    screenshot(page, "evidence")


@pytest.mark.parametrize(
    ("evidence", "reason", "said"),
    [
        (None, "this version has no evidence index", "evidence to show: this version has no"),
        (None, None, "evidence to show: not asked for"),
        ([], None, "was searched and holds nothing of this text"),
    ],
)
def test_where_there_is_no_evidence_the_page_says_why(visit, behaviour, evidence, reason, said):
    behaviour.verdict = {"evidence": evidence, "evidence_reason": reason}
    page = visit()
    judge(page, "The captain said nothing. " * 9)
    assert said in page.locator("#evidence-note").inner_text()
    assert page.locator("#evidence-list li").count() == 0


def evidence_for(start: int, end: int) -> list[dict]:
    common = {
        "sub_dataset": "harbour-press-novels",
        "holder": "Harbour Press Ltd",
        "license": "All rights reserved",
        "passage_id": "novels-9",
        "passage_start": 5,
        "passage_end": 80,
        "score": 50.0,
        "boilerplate": False,
    }
    span = {"kind": "near-verbatim", "start": start, "end": end, "words": 20, "matched": 19}
    named = {"title": "The <Long> Watch", "url": "https://example.org/watch"}
    bare = {"title": "", "url": "javascript:alert(1)", "words": 0, "matched": 0}
    several, one = {"passages": 3, "sub_datasets": 2}, {"passages": 1, "sub_datasets": 1}
    return [
        {**common, **span, **named, **several},
        {**common, **span, **named, **one, "boilerplate": True},
        {**common, **bare, **one, "kind": "nearest", "start": 0, "end": end},
    ]
