"""The page by keyboard, on a phone, in the dark, with long texts; and while the LM writes."""

import re
import time

import pytest

from tests.serve.page.browser import barriers, screenshot
from tests.serve.page.page_app import WRITTEN, judged
from tests.serve.page.test_page import MIXED, judge

pytestmark = pytest.mark.slow


def write(page, prompt):
    page.get_by_role("tab", name="Let the LM write").click()
    page.get_by_label("Prompt").fill(prompt)
    page.get_by_role("button", name="Write", exact=True).click()
    page.locator("#result").wait_for()


def finished(page):
    page.locator("#write[aria-disabled=false]").wait_for()


def too_wide(page):
    return page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


def test_all_of_it_by_keyboard(visit):
    page = visit()
    press = page.keyboard.press

    def focus():
        return page.evaluate("document.activeElement.id || document.activeElement.textContent")

    press("Tab")
    assert focus() == "Skip to the text field"
    press("Enter")
    press("Tab")
    assert focus() == "tab-judge"
    press("ArrowRight")
    assert focus() == "tab-write" and page.locator("#panel-write").is_visible()
    press("Home")
    assert focus() == "tab-judge" and page.locator("#panel-judge").is_visible()
    press("Tab")
    assert focus() == "text"
    assert page.locator("#text").evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
    page.keyboard.insert_text(MIXED)
    press("Control+Enter")
    page.locator("#result[aria-busy=false]").wait_for()
    assert focus() == "text"
    seen = []
    for _ in range(12):
        press("Tab")
        seen.append(focus())
    stops = ["judge", "scrub", "passage", "copy", "download"]
    assert [stop for stop in seen if stop in stops] == stops
    page.locator("#scrub").focus()
    press("ArrowRight")
    item = judged(MIXED).timeline[1]
    assert (
        page.locator("#readout")
        .inner_text()
        .startswith(f"Characters {item.start + 1} to {item.end}: ")
    )
    assert page.locator(".stretch.here").inner_text() == MIXED[item.start : item.end]
    assert "Characters 121 to 240" in page.locator("#scrub").get_attribute("aria-valuetext")


@pytest.mark.parametrize("width", [320, 360])
def test_on_a_phone(visit, width):
    page = visit(width=width, height=740, has_touch=True, is_mobile=True)
    assert too_wide(page) <= 0
    judge(page, MIXED + "W" * 200)
    assert too_wide(page) <= 0
    assert barriers(page) == []
    box = page.locator("#decision").bounding_box()
    assert box is not None and 0 <= box["y"] < 740
    screenshot(page, f"phone-{width}")


def test_in_the_dark(visit):
    page = visit(color_scheme="dark")
    judge(page, MIXED)
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert min(map(int, re.findall(r"\d+", ink))) > 200
    assert max(map(int, re.findall(r"\d+", paper))) < 40
    assert barriers(page) == []
    screenshot(page, "desktop-dark")


def test_nothing_moves_that_should_not(visit):
    page = visit(reduced_motion="reduce")
    assert page.locator("#judge").evaluate("e => getComputedStyle(e).transitionDuration") == "0s"
    moved = page.evaluate(
        """new Promise(done => new PerformanceObserver(list => done(list.getEntries()
             .reduce((sum, entry) => sum + entry.value, 0)))
           .observe({type: "layout-shift", buffered: true}) || setTimeout(done, 500, 0))"""
    )
    assert moved < 0.01


def test_a_long_text_stays_quick(visit):
    page = visit()
    text = (MIXED * 60)[:100_000]
    page.locator("#text").evaluate("(field, text) => { field.value = text; }", text)
    page.evaluate(
        "window.longest = 0; new PerformanceObserver(list => list.getEntries()"
        ".forEach(e => window.longest = Math.max(window.longest, e.duration)))"
        ".observe({type: 'longtask'})"
    )
    start = time.monotonic()
    page.locator("#judge").click()
    page.locator("#result[aria-busy=false]").wait_for()
    seconds = time.monotonic() - start
    assert page.locator("#passage").evaluate("box => box.textContent.length") == len(text)
    page.locator("#scrub").focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    assert "Characters 1,201 to" in page.locator("#readout").inner_text()
    longest = page.evaluate("window.longest")
    print(f"100,000 characters: {seconds:.2f} s, longest task {longest:.0f} ms")
    assert seconds < 8
    assert longest < 1500


def test_the_lm_writes(visit, behaviour):
    behaviour.pause = 0.06
    page = visit()
    write(page, "Go on")
    page.locator("#flags-list li").wait_for()
    assert page.locator("#decision").inner_text() == "Writing"
    assert "After 32 tokens: draws on registered" in page.locator("#flags").inner_text()
    assert "Harbour Press Ltd" in page.locator("#bars").inner_text()
    shown = page.locator("#passage").evaluate("box => box.firstChild.data")
    assert WRITTEN.startswith(shown.rstrip())
    screenshot(page, "writing")
    assert barriers(page) == []
    finished(page)
    text = page.locator("#passage").evaluate("box => box.textContent")
    assert text.strip() == WRITTEN.strip()
    assert page.locator("#decision").inner_text() == "Draws on registered sub-datasets"
    assert page.locator("#passage .stretch").count() == len(judged(text).timeline)
    assert page.locator("#flags-list li").count() == 1
    assert "slightly different text" not in page.locator("#legend-note").inner_text()
    screenshot(page, "written")


def test_the_lm_is_stopped_by_policy(visit):
    page = visit(width=360, height=740)
    write(page, "Please block this")
    finished(page)
    assert page.locator("#decision").inner_text() == "Stopped by policy"
    assert page.locator("#policy-title").inner_text() == "Policy: blocked"
    assert "may not be used" in page.locator("#policy").inner_text()
    assert "Harbour Press Ltd" in page.locator("#policy-facts").inner_text()
    assert "Stopped by policy" in page.locator("#status").inner_text()
    assert too_wide(page) <= 0
    assert barriers(page) == []
    screenshot(page, "blocked-phone")


def test_the_lm_breaks_off_or_is_stopped(visit, behaviour):
    page = visit()
    write(page, "Please fail")
    page.get_by_text("The probe was lost.").wait_for()
    finished(page)
    assert page.locator("#decision").inner_text() == "Broken off"
    behaviour.pause = 0.1
    write(page, "Go on")
    # Until its first token comes, the text before it stands there.
    page.get_by_text("The LM goes on from your prompt.").wait_for()
    page.locator("#stop").click()
    finished(page)
    assert page.locator("#decision").inner_text() == "Stopped"
    assert page.locator("#error").is_hidden()
    behaviour.before = 60.0
    write(page, "Go on")
    # What it wrote before stands there until the first token comes, and no longer.
    page.locator("#stop").click()
    finished(page)
    assert page.locator("#decision").inner_text() == "Nothing was written"
    assert page.locator("#passage").evaluate("box => box.textContent") == ""
    page.get_by_role("tab", name="Judge a text").click()
    judge(page, MIXED)
    assert page.locator("#flags").is_hidden()


@pytest.mark.parametrize("writes", [True, False])
def test_whether_the_lm_writes_is_known_without_a_refusal(visit, behaviour, writes):
    behaviour.writes = writes
    page = visit()
    page.locator("#tab-write:not(.pending)").wait_for(state="visible" if writes else "hidden")
    assert page.locator("#panel-judge").is_visible()
    judge(page, MIXED)
    assert visit.monitors[0].refused == []
