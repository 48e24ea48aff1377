"""The report in a browser: it fits the width of a phone and of a laptop."""

from pathlib import Path

import numpy as np
import pytest

from copylens.evaluation.contract import BASELINES, CHANNELS, CONTROLS, VIEWS, empty_report
from copylens.evaluation.metrics import reliability_bins, roc_curve
from copylens.evaluation.report.html import render_report
from copylens.evaluation.report.plots import Figures, MixedText
from copylens.records import TimelineItem
from tests.serve.page.browser import FLAGS, chromium

pytestmark = pytest.mark.slow

NAMES = [f"collected_novels_of_author_{n}" for n in range(12)]
# The section of every box that holds more than it shows, sideways; "" is the page itself.
TOO_WIDE = """() => {
    const section = box => {
        while (box && box.tagName !== "H2") box = box.previousElementSibling;
        return box ? box.textContent : "";
    };
    return [document.documentElement, ...document.querySelectorAll("main *")]
        .filter(box => box.scrollWidth > box.clientWidth + 1 && box.clientWidth > 0)
        .filter(box => !box.closest("svg") && getComputedStyle(box).display !== "inline")
        .map(section);
}"""


def full_report():
    report = empty_report()
    figures = {"accuracy": 0.661, "macro_f1": 0.654, "auroc": 0.712, "fpr95": 0.877}
    report["attribution"].update(accuracy=0.8, macro_f1=0.8, ece=0.03, n=1793, ci95=[0.7, 0.9])
    report["ood"].update(auroc=0.751, fpr95=0.62, n_id=1793, n_ood=630)
    report["ood"]["by_origin"] = {name: {"auroc": 0.7, "fpr95": 0.9} for name in NAMES[:3]}
    for name in BASELINES:
        report["baselines"][name].update(figures)
    for name in CHANNELS:
        report["channels"][name].update(accuracy=0.6, auroc=0.7)
    difference = {"difference": -0.0375, "difference_ci95": [-0.0612, -0.0151]}
    for name in CONTROLS:
        report["controls"][name].update(accuracy=0.6, probe_accuracy=0.7, n=400, **difference)
    for view in VIEWS:
        values = dict.fromkeys((*CHANNELS, "best_text", "accuracy"), 0.7)
        report["robustness"][view].update(n=400, **values)
    report["in_corpus"].update(accuracy=0.9, n=400, **difference)
    report["lm_outputs"].update(agreement=0.5, n=96, n_ood=40)
    report["config"] = {"corpus": {"paths": ["a-folder-with-a-long-name/" * 6]}}
    return report


def figures():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([0.4] * 12, size=300)
    text = "The captain said nothing for a while, and the sea lay grey. " * 20
    items = [
        TimelineItem(start, start + 120, dict(zip(NAMES, map(float, shares[start // 120]))))
        for start in range(0, len(text), 120)
    ]
    return Figures(
        sub_datasets=NAMES,
        confusion=rng.integers(0, 90, (12, 12)),
        reliability=reliability_bins(shares, rng.integers(0, 12, 300)),
        roc={"CopyLens": roc_curve(rng.normal(size=90), rng.normal(1, 1, size=90))},
        timeline=MixedText(text, items, [(0, 600, NAMES[0]), (600, len(text), NAMES[1])]),
    )


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield started
        started.close()


# On a phone a table with a column for each channel or sub-dataset scrolls within its own box.
@pytest.mark.parametrize(
    ("width", "scrolling"), [(400, {"Changed texts", "Confusion matrix"}), (1280, set())]
)
def test_the_page_does_not_scroll_sideways(browser, tmp_path: Path, width, scrolling):
    file = tmp_path / "report.html"
    file.write_text(render_report(full_report(), figures()), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(file.as_uri())
    for details in page.locator("details").all():
        details.locator("summary").click()
    assert set(page.evaluate(TOO_WIDE)) <= scrolling
