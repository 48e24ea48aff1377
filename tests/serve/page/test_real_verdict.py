"""The page over a fitted scorer: what it shows is what the scorer says. Makes the README's picture.

COPYLENS_PICTURE=runs/demo pytest tests/serve/page/test_real_verdict.py

takes the run of `copylens demo` in place of the tests' own, and writes docs/images/verdict.png.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from copylens.config.load import load_config
from copylens.corpus import read_split
from copylens.records import Verdict
from copylens.registry.reader import load_scorer
from copylens.registry.server import tracking_uri
from copylens.verdict.scorer import Scorer
from serve.replica.messages import RegisteredModel
from tests.serve.fakes import FakeBackend, make_app
from tests.serve.page.browser import BrowserMonitor
from tests.serve.page.test_page import judge
from tests.serve.server import serving

pytestmark = [pytest.mark.slow, pytest.mark.ray]

RUN = os.environ.get("COPYLENS_PICTURE")
PICTURE = Path(__file__).parents[3] / "docs" / "images" / "verdict.png"
# Of the picture, in CSS pixels.
MARGIN, TEXT_HEIGHT = 12, 160


class ScorerBackend(FakeBackend):
    """A scorer of this process in place of the Scorer deployment."""

    def __init__(self, scorer: Scorer):
        super().__init__()
        self._scorer = scorer

    async def score(
        self,
        texts: Sequence[str],
        alpha: float | None,
        timeline: bool,
        evidence: bool,
        seconds: float,
    ) -> tuple[Verdict, ...]:
        return tuple(await asyncio.to_thread(self._scorer.verdicts, texts, alpha, evidence))

    async def registered(self) -> RegisteredModel:
        scorer = self._scorer
        levels = (scorer.config.calibration.alpha, scorer.config.calibration.interval)
        return RegisteredModel(
            scorer.identity, *levels, False, tuple(scorer.rights.values()), scorer.lineage
        )


@pytest.fixture
def run_folder(request) -> str:
    return RUN or request.getfixturevalue("finished")[0].output


def registered_scorer(run_folder: str) -> Scorer:
    """The version that the run's promote registered, with its audit and its index."""
    config = load_config(f"{run_folder}/config.yaml")
    done = json.loads(Path(f"{run_folder}/promote.done.json").read_text())["summary"]
    uri = f"models:/{done['model']}/{done['version']}"
    return load_scorer(uri, tracking_uri(config.tracking.uri))


def two_sources(run_folder: str) -> str:
    """Whole lines of two passages: one that training has, then one held out of it."""
    known = {passage.sub_dataset: passage for passage in read_split(run_folder, "train")}
    held_out = {passage.sub_dataset: passage for passage in read_split(run_folder, "test")}

    def words_of_rights(name: str) -> int:
        return len(known[name].holder + known[name].license)

    # Those whose holder and licence fit a line of the picture.
    first, second, *_ = sorted(known, key=words_of_rights)
    return f"{_end(known[first].text, 1100)}\n\n{_end(held_out[second].text, 500)}"


def _end(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[-chars:].partition("\n")[2] or text[-chars:]


def test_the_page_shows_what_the_scorer_says(browser, run_folder):
    scorer = registered_scorer(run_folder)
    text = two_sources(run_folder)
    said = scorer.verdicts([text])[0]
    app = make_app(ScorerBackend(scorer))
    with serving(app) as address:
        context = browser.new_context(
            viewport={"width": 1180, "height": 900}, device_scale_factor=1.5
        )
        monitor = BrowserMonitor(context)
        page = context.new_page()
        page.goto(address, wait_until="networkidle")
        judge(page, text)
        titles = {
            "registered": "Draws on registered sub-datasets",
            "unregistered": "Draws on none of the registered sub-datasets",
            "abstain": "Cannot tell",
        }
        assert page.locator("#decision").inner_text() == titles[said.decision]
        for share, row in zip(said.shares, page.locator("#bars .bar-row").all(), strict=False):
            for shown in (share.sub_dataset, share.holder, f"{share.share:.0%}"[:-1]):
                assert shown in row.inner_text()
        assert page.locator("#passage").evaluate("box => box.textContent") == text
        if RUN:
            PICTURE.parent.mkdir(exist_ok=True)
            page.screenshot(path=PICTURE, full_page=True, clip=upper_part(page))
        context.close()
    assert (monitor.foreign, monitor.complaints) == ([], [])


def upper_part(page) -> dict[str, float]:
    """The result down to the first lines of the coloured text, with a margin, as a clip."""
    left, top, right, text_top = page.evaluate("""() => {
        const box = document.querySelector("#result").getBoundingClientRect();
        const text = document.querySelector("#passage").getBoundingClientRect();
        return [box.left + scrollX, box.top + scrollY, box.right + scrollX, text.top + scrollY];
    }""")
    edges = {"x": left - MARGIN, "y": top - MARGIN, "width": right - left + 2 * MARGIN}
    return {**edges, "height": text_top + TEXT_HEIGHT - top + MARGIN}
