"""The page in a real Chromium: judging a text, and all that people bring to it."""

import hashlib
import json
from itertools import accumulate

import pytest

from copylens.verdict.evidence import NO_INDEX
from serve.page import page_file
from tests.serve.page.browser import barriers, screenshot
from tests.serve.page.page_app import RIGHTS, STRETCH, WHY, judged

pytestmark = pytest.mark.slow

NOVEL = (
    "The captain said that the sea would be calm. “Wife,” he said, “the sea is calm.” "
    "The daughters said nothing; the captain looked at the sea. "
)
CODE = (
    "def distance(graph, node):\n    import math\n    return min(graph[node])\n"
    "# the distance of a node in a graph, from the node that we return to\n"
)
KITCHEN = "Melt the butter in a cup, put the tomatoes in the oven, and take another cup of butter. "
MIXED = (
    NOVEL * 3 + "\n" + CODE * 2 + KITCHEN * 3 + "Nothing in particular stands in these lines. " * 4
) * 2


def judge(page, text):
    page.locator("#text").fill(text)
    page.get_by_role("button", name="Judge", exact=True).click()
    page.locator("#result").wait_for()
    page.locator("#result[aria-busy=false]").wait_for()


def coloured(page):
    """Every stretch as the page shows it: (leader's colour class, text)."""
    return page.locator("#passage .stretch").evaluate_all(
        "nodes => nodes.map(node => [node.classList[1], node.textContent])"
    )


def expected(text):
    """The same from the verdict, with Python's own idea of characters."""
    slots = {name: f"s{slot}" for slot, name in enumerate(RIGHTS)} | {"": "none"}
    result = []
    for item in judged(text).timeline:
        shares = item.shares | {"": item.unregistered}
        first, second = sorted(shares.values(), reverse=True)[:2]
        leader = max(shares, key=lambda name: shares[name])
        colour = slots[leader] if first - second >= 0.05 else "even"
        result.append([colour, text[item.start : item.end]])
    return result


def borders(stretches):
    return list(accumulate(len(text) for _, text in stretches))


def test_a_text_is_judged(visit):
    page = visit()
    assert page.locator("#model").inner_text() == "copylens, version 7"
    judge(page, MIXED)
    assert page.locator("#decision").inner_text() == "Draws on registered sub-datasets"
    assert page.locator("#odds-words").inner_text() == (
        "About 42 of 100 texts that do come from registered sub-datasets "
        "look this strange or stranger."
    )
    assert page.locator("#dots .full").count() == 42
    verdict = judged(MIXED)
    top = verdict.shares[0]
    row = page.locator("#bars .bar-row").first
    basis = top.basis.replace("_", " ")
    for said in (top.sub_dataset, top.holder, top.license, basis, f"{top.share:.0%}"[:-1]):
        assert said in row.inner_text()
    assert page.locator("#bars .basis").all_inner_texts() == [
        share.basis.replace("_", " ")
        for share in verdict.shares[: page.locator("#bars .bar-row").count()]
    ]
    bases = page.locator("#bases").inner_text()
    assert "trained on" in bases and "the LM was trained on" in bases and "resemblance" in bases
    apart = page.locator("#bars-apart").inner_text()
    assert "None of them" in apart and f"{verdict.unregistered:.0%}"[:-1] in apart
    assert row.locator(".bar-figure .quoted").inner_text() == "43\u00a0% quoted"
    assert page.locator("#bars .track .quoted").count() == 1
    assert "Of that 43\u00a0% is quoted." in page.locator("#decision-note").inner_text()
    assert "The thin line is the 80\u00a0% interval." in page.locator("#shares-note").inner_text()
    assert page.locator("#passage").evaluate("box => box.textContent") == MIXED
    assert coloured(page) == expected(MIXED)
    assert {colour for colour, _ in coloured(page)} >= {"s0", "s1", "s4", "none"}
    assert "has no evidence index" in page.locator("#evidence-note").inner_text()
    record = page.locator("#record").inner_text()
    assert hashlib.sha256(MIXED.encode()).hexdigest() in record
    assert "copylens, version 7" in record and "EleutherAI/pythia-70m" in record
    assert "Draws on registered" in page.locator("#status").inner_text()
    assert "harbour-press-novels leads in characters 1 to" in page.get_by_role(
        "img", name="Shares along the text"
    ).get_attribute("aria-label")
    assert barriers(page) == []
    screenshot(page, "desktop-light")


@pytest.mark.parametrize(
    "word, title, odds",
    [
        ("strange", "Draws on none of the registered sub-datasets", "About 4 of 1,000 texts"),
        ("unsure", "Cannot tell", "About 31 of 100 texts"),
    ],
)
def test_other_decisions(visit, word, title, odds):
    page = visit()
    judge(page, f"A {word} letter. {MIXED}")
    assert page.locator("#decision").inner_text() == title
    assert page.locator("#odds-words").inner_text().startswith(odds)
    assert page.locator("#policy").is_hidden()
    note = page.locator("#decision-note").inner_text()
    assert (note == f"{WHY}.") == (word == "unsure")
    assert "flag" not in page.locator("#result").inner_text().lower()
    assert "None of them" in page.locator("#legend").inner_text()
    assert page.locator("#lanes .lane-names li").last.get_attribute("title") == "None of them"
    assert barriers(page) == []
    screenshot(page, f"decision-{word}")


def test_what_the_policy_says(visit):
    text = "The captain said: the sea, the sea! " * 20
    page = visit()
    judge(page, text)
    assert page.locator("#policy-title").inner_text() == "Policy: flagged"
    share = judged(text).shares[0].share
    assert page.locator("#policy-reason").inner_text() == (
        f"The rule “novels” flags it because of harbour-press-novels at a share of "
        f"{share:.0%}.".replace("%", "\u00a0%")
    )
    assert "Holder: Harbour Press Ltd" in page.locator("#policy-facts").inner_text()
    assert barriers(page) == []


@pytest.mark.parametrize(
    "text",
    [
        "🐙 captain 👩‍👩‍👧‍👦 sea 🇮🇪 said e\u0301 " * 40 + "graph node 🧮 distance " * 30,
        "قال القبطان sea للبحر captain 🌊 كلمة said " * 40 + "graph node عقدة distance " * 30,
        "\U0001f40b" * STRETCH + "the captain said sea " * 20,
    ],
    ids=["emoji", "right-to-left", "only-emoji"],
)
def test_offsets_are_those_of_characters(visit, text):
    page = visit()
    judge(page, text)
    assert page.locator("#passage").evaluate("box => box.textContent") == text
    shown, meant = coloured(page), expected(text)
    assert [colour for colour, _ in shown] == [colour for colour, _ in meant]
    moved = [found - wanted for found, wanted in zip(borders(shown), borders(meant))]
    # A border within a family of four waits for its end: at most six characters.
    assert set(moved) <= (set(range(7)) if "👩" in text else {0})
    assert page.locator("#facts").inner_text().count(f"{len(text):,} characters") == 1
    screenshot(page, f"scripts-{text[:8].encode().hex()[:8]}")


def test_offset_arithmetic(visit):
    page = visit()
    code = """async ([text, points]) => {
      const m = await import("/page/offsets.js");
      const units = m.utf16Offsets(text, points);
      return [points.map(p => text.slice(0, units.get(p))), m.codePoints(text),
              points.map(p => text.slice(0, m.wholeCharacter(text, units.get(p)))),
              m.wellFormed("a\\ud83db\\ude00") ];
    }"""
    text = "a😀b\u0301👩‍👧 🇮🇪🇩🇪x"
    points = [9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 99]
    cut, count, whole, mended = page.evaluate(code, [text, points])
    assert cut == [text[:point] for point in points]
    assert count == len(text)
    ends = ["", "a", "a😀", "a😀b\u0301", "a😀b\u0301👩‍👧", "a😀b\u0301👩‍👧 "]
    ends += ["a😀b\u0301👩‍👧 🇮🇪", "a😀b\u0301👩‍👧 🇮🇪🇩🇪", text]
    for point, found in zip(points, whole):
        assert found == next(end for end in ends if len(end) >= min(point, len(text)))
    assert mended == "a\ufffdb\ufffd"


def test_words_for_p_values(visit):
    code = """async (all) => { const m = await import("/page/words.js");
      return all.map(p => m.odds(p).words.split(" texts")[0]); }"""
    said = {
        1.0: "Nearly all",
        0.994: "About 99 of 100",
        0.5: "About 50 of 100",
        0.01: "About 1 of 100",
        0.0099: "About 10 of 1,000",
        0.001: "About 1 of 1,000",
        0.0002: "Fewer than 1 of 1,000",
    }
    assert visit().evaluate(code, list(said)) == list(said.values())


def test_markup_in_a_text_is_text(visit):
    text = "<img src=x onerror=alert(1)><script>alert(2)</script> & <b>captain</b> said sea " * 5
    page = visit()
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    judge(page, text)
    assert page.locator("#passage").evaluate("box => box.textContent") == text
    assert page.locator("#passage").locator("img, script, b").count() == 0


@pytest.mark.parametrize(
    "answer, line",
    [
        (
            (413, {"error": {"message": "the text is too long", "limit": 50000, "hint": "cut it"}}),
            "The text is too long (limit 50,000). Cut it.",
        ),
        ((502, "not an error object"), "The service answered 502 Bad Gateway."),
    ],
)
def test_errors_are_one_line(visit, behaviour, answer, line):
    behaviour.error = answer
    page = visit()
    page.locator("#text").fill("A text.")
    page.locator("#judge").click()
    page.get_by_role("alert").wait_for()
    assert page.get_by_role("alert").inner_text() == line
    assert page.locator("#result").is_hidden()
    behaviour.error = None
    judge(page, "A text.")
    assert page.locator("#error").is_hidden()


def test_nothing_to_judge_and_nobody_there(visit):
    page = visit()
    page.locator("#judge").click()
    assert "no text yet" in page.get_by_role("alert").inner_text()
    page.route("**/v1/attribute", lambda route: route.fulfill(status=200, body="no JSON"))
    page.locator("#text").fill("A text.")
    page.locator("#judge").click()
    page.get_by_text("The service sent no readable answer").wait_for()
    assert barriers(page) == []


def test_a_key_is_asked_for(visit, behaviour):
    behaviour.key = "right"
    page = visit()
    page.get_by_label("API key").wait_for()
    assert barriers(page) == []
    page.locator("#text").fill(NOVEL)
    for key in ("wrong", "right"):
        page.get_by_label("API key").fill(key)
        page.keyboard.press("Enter")
        if key == "wrong":
            page.get_by_text("This API key is not known. Ask for one.").wait_for()
            screenshot(page, "key")
    page.get_by_text("copylens, version 7").wait_for()
    page.locator("#key-form").wait_for(state="hidden")
    assert page.evaluate("[sessionStorage['copylens-key'], localStorage.length]") == ["right", 0]
    judge(page, NOVEL)
    page.reload(wait_until="networkidle")
    assert page.locator("#model").inner_text() == "copylens, version 7"


def test_the_verdict_can_be_taken_along(visit, tmp_path):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    judge(page, NOVEL)
    with page.expect_download() as begun:
        page.get_by_role("button", name="Download it").click()
    begun.value.save_as(tmp_path / "verdict.json")
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    meant = json.loads(json.dumps(judged(NOVEL).to_dict()))
    meant["evidence_reason"] = NO_INDEX  # the page asks for it
    assert {key: verdict[key] for key in meant} == meant
    page.get_by_role("button", name="Copy the verdict").click()
    page.get_by_text("Copied", exact=True).wait_for()
    assert json.loads(page.evaluate("navigator.clipboard.readText()")) == verdict


def test_samples_are_those_of_the_page(visit):
    page = visit()
    page.get_by_role("button", name="Python code").click()
    assert page.locator("#text").input_value() in page_file("samples.js")[0].decode()
    page.keyboard.press("Enter")
    page.locator("#result").wait_for()
    assert "code" in page.locator("#passage").get_attribute("class")
    screenshot(page, "code")
