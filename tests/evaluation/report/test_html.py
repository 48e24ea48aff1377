import copy
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from copylens.evaluation.contract import check_report, empty_report
from copylens.evaluation.metrics import FPR95_CONVENTION, reliability_bins, roc_curve
from copylens.evaluation.report.audit_section import insert_audit
from copylens.evaluation.report.html import render_report
from copylens.evaluation.report.plots import (
    Figures,
    MixedText,
    banded,
    reliability_svg,
    roc_svg,
    timeline_svg,
)
from copylens.evaluation.report.study_tables import ood_rows
from copylens.records import TimelineItem
from tests.audit.audit_samples import audit

VOID = {"meta", "link", "br", "img", "hr", "input"}
EVIL = "<script>alert('x')</script> & \"done\""


class _Page(HTMLParser):
    """Checks that tags close in order; keeps the tags and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.marked = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] == "mark":
            self.marked += data


def _read(page: str) -> _Page:
    parser = _Page()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def report_with_figures() -> dict[str, Any]:
    report = empty_report()
    report["attribution"].update(accuracy=0.661, macro_f1=0.65, ece=0.031, n=1793, ci95=[0.6, 0.7])
    report["ood"].update(auroc=0.7512, fpr95=0.62, n_id=20, n_ood=10, convention=FPR95_CONVENTION)
    report["conformal"].update(alpha=0.05, coverage=0.96, false_alarm_rate=0.04)
    report["baselines"]["tfidf_word"].update(accuracy=0.54, macro_f1=0.5, auroc=0.6, fpr95=0.9)
    best = {"name": "tfidf_word", "accuracy": 0.54, "difference": 0.121}
    report["baselines"]["best_text"] = {**best, "difference_ci95": [0.05, 0.2]}
    report["config"] = {"seed": 3, "probe": {"model": EVIL}}
    return report


def _figures() -> Figures:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([1, 1], size=50)
    items = [
        TimelineItem(0, 20, {"a<b": 0.9, "c": 0.1}),
        TimelineItem(20, len(EVIL), {"a<b": 0.2, "c": 0.8}),
    ]
    return Figures(
        sub_datasets=["a<b", "c"],
        confusion=np.array([[7, 3], [1, 9]]),
        reliability=reliability_bins(shares, rng.integers(0, 2, 50)),
        roc={"kNN": roc_curve(rng.normal(size=900), rng.normal(size=900))},
        timeline=MixedText(EVIL, items, [(0, 22, "a<b"), (22, len(EVIL), "c")]),
    )


def test_a_full_page_is_well_formed_self_contained_and_escaped() -> None:
    page = render_report(report_with_figures(), _figures())
    read = _read(page)
    assert "<script" not in page
    for tag, attributes in read.tags:
        assert tag not in {"script", "link", "iframe"}
        assert not {"src", "href"} & set(attributes)
    assert "url(" not in page and "http" not in page
    assert FPR95_CONVENTION in read.text
    for figure in ("66.1 %", "0.751", "60.0 % to 70.0 %", "+12.1 points"):
        assert figure in read.text


def test_the_mixed_text_is_whole_and_cut_at_predicted_and_true_borders() -> None:
    read = _read(render_report(report_with_figures(), _figures()))
    assert read.marked == EVIL
    marks = [attributes["class"] for tag, attributes in read.tags if tag == "mark"]
    assert marks == ["s0", "s1", "s1"]  # cuts at 20 (predicted) and 22 (true)


def test_drawings_and_tables_can_be_read_aloud() -> None:
    read = _read(render_report(report_with_figures(), _figures()))
    drawings = [attributes for tag, attributes in read.tags if tag == "svg"]
    assert len(drawings) == 3
    assert all(a["role"] == "img" and a["aria-label"] for a in drawings)
    heads = [attributes for tag, attributes in read.tags if tag == "th"]
    assert heads and all(a.get("scope") in {"row", "col"} for a in heads)


def test_nothing_measured_is_said_and_no_figure_invented() -> None:
    read = _read(render_report(empty_report(), Figures(sub_datasets=["a"])))
    body = read.text.split("CopyLens report")[-1]
    cards = [a for tag, a in read.tags if tag == "div" and "figure" in str(a.get("class"))]
    assert [a["class"] for a in cards] == ["figure none"] * 5
    for invented in ("0.0 %", "0.000", "nan", "None"):
        assert invented not in body


def test_what_was_not_asked_for_has_no_section() -> None:
    studies = (
        "Channels",
        "Controls: what the LLM adds",
        "Known works, unseen passages",
        "Changed texts",
        "What the LLM itself writes",
        "Confusion matrix",
        "Calibration of the shares",
        "Registered or not",
        "A mixed text, stretch by stretch",
    )
    always = [
        "Against other methods",
        "Was the LLM trained on it?",
        "False alarms and power",
        "Cost",
    ]
    always.append("Configuration and lineage")
    assert _titles(render_report(empty_report(), Figures(sub_datasets=["a"]))) == always
    report = report_with_figures()
    report["channels"]["lexical"].update(accuracy=0.6, auroc=0.7)
    report["controls"]["random_init"].update(accuracy=0.6, probe_accuracy=0.7, n=20)
    report["in_corpus"].update(accuracy=0.9, n=20)
    report["robustness"]["unchanged"].update(accuracy=0.6, lexical=0.61, n=20)
    report["lm_outputs"].update(agreement=0.5, n=20)
    full = render_report(report, _figures())
    assert set(studies) <= set(_titles(full))
    assert "an LLM never trained on these texts" not in full  # this control was not run


def test_methods_are_ranked_where_they_have_a_figure() -> None:
    report = report_with_figures()
    report["baselines"]["msp_on_logits"] = {"auroc": 0.8, "fpr95": 0.5}
    report["baselines"]["msp_on_logits"] |= {"accuracy": None, "macro_f1": None}
    text = _read(render_report(report, _figures())).text
    naming = text.partition("macro F1")[2].partition("Confusion matrix")[0]
    assert "TF-IDF, words" in naming and "largest share" not in naming
    ranked = text.partition("All methods, best first")[2]
    assert ranked.index("largest share") < ranked.index("CopyLens") < ranked.index("TF-IDF, words")


def _titles(page: str) -> list[str]:
    return re.findall("<h2>(.*?)</h2>", page)


def test_a_confusion_matrix_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"K = 1, got \(2, 2\)"):
        render_report(
            report_with_figures(), Figures(sub_datasets=["a"], confusion=np.eye(2, dtype=int))
        )


def test_curves_pass_through_their_points() -> None:
    drawn = ET.fromstring(str(roc_svg({"x": (np.array([0, 0.5, 1]), np.array([0, 1.0, 1]))})))
    curve = next(e for e in drawn.iter("polyline") if "curve" in e.attrib["class"])
    assert curve.attrib["points"] == "56.0,310.0 206.0,10.0 356.0,10.0"


def test_long_curves_are_thinned_with_both_ends_kept() -> None:
    line = np.linspace(0, 1, 5000)
    drawn = ET.fromstring(str(roc_svg({"x": (line, line)})))
    curve = next(e for e in drawn.iter("polyline") if "curve" in e.attrib["class"])
    corners = curve.attrib["points"].split()
    assert len(corners) <= 200
    assert (corners[0], corners[-1]) == ("56.0,310.0", "356.0,10.0")


def test_empty_bins_draw_no_bar() -> None:
    bins = reliability_bins(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0]))
    drawn = ET.fromstring(str(reliability_svg(bins)))
    assert len([e for e in drawn.iter("rect") if e.attrib["class"] == "bar"]) == 2


def test_bands_fill_the_height_and_group_the_rest() -> None:
    shares = {"a": 0.5, "b": 0.2, "c": 0.2, "d": 0.1}
    assert banded(shares, ["b", "a"]) == [("b", 0.2), ("a", 0.5), ("others", pytest.approx(0.3))]
    mixed = MixedText("x" * 90, [TimelineItem(0, 90, shares)], [(0, 30, "a"), (30, 90, "z")])
    drawn = ET.fromstring(str(timeline_svg(mixed, ["b", "a"])))
    bands = [e for e in drawn.iter("rect") if e.attrib["class"].startswith("band")]
    assert sum(float(e.attrib["height"]) for e in bands) == pytest.approx(150, abs=0.2)
    border = next(drawn.iter("line"))
    assert float(border.attrib["x1"]) == pytest.approx(900 * 30 / 90)


def test_the_empty_report_keeps_the_contract() -> None:
    check_report(empty_report())
    check_report(report_with_figures())


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("attribution.accuracy", "0.9", "attribution.accuracy: must be a finite number"),
        ("attribution.accuracy", 1.2, "must lie in [0, 1]"),
        ("attribution.accuracy", float("nan"), "must be a finite number"),
        ("attribution.accuracy", True, "must be a finite number"),
        ("attribution.n", 3.5, "whole number"),
        ("attribution.ci95", [0.9, 0.1], "low <= high"),
        ("attribution.by_sub_dataset", {"a": {"accuracy": "x"}}, "by_sub_dataset.a.accuracy"),
        ("baselines.best_text.name", 3, "must be a text"),
        ("ood.leave_one_out", None, "ood.leave_one_out: must be keys and values"),
        ("cost.probe_seconds", "fast", "cost.probe_seconds"),
        ("config", "seed: 1", "config: must be keys and values"),
    ],
)
def test_a_broken_contract_names_the_place(path: str, value: Any, message: str) -> None:
    report = copy.deepcopy(report_with_figures())
    *parents, last = path.split(".")
    node = report
    for parent in parents:
        node = node[parent]
    node[last] = value
    with pytest.raises(ValueError) as caught:
        check_report(report)
    assert message in str(caught.value)


def test_missing_keys_are_all_named() -> None:
    report = empty_report()
    del report["mixture"], report["ood"]["near"]
    with pytest.raises(ValueError, match=r"mixture: missing.*ood\.near: missing"):
        check_report(report)


def test_the_audit_stands_in_words_and_figures_or_is_said_to_be_missing() -> None:
    none = render_report(report_with_figures(), _figures())
    assert "No audit was made" in none
    findings = {"sea": "trained on", "law": "no evidence", "<b>": "cannot tell"}
    page = insert_audit(none, audit(findings, "c0ffee"))
    assert "No audit was made" not in page and "<b>" not in page.partition("<main>")[2]
    for said in (
        "Trained on sea: so they say.",
        "<td>trained on</td>",
        "resemblance",
        "Self-Comparison",
    ):
        assert said in page
    assert insert_audit(page, None) == none
    assert insert_audit("<p>an older report</p>", None) == "<p>an older report</p>"


def test_the_passages_that_the_lm_writes_on_are_shown_where_any_come_out() -> None:
    none = render_report(report_with_figures(), _figures())
    found = audit({"sea": "trained on", "law": "no evidence"}, "c0ffee")
    sea, law = (found["sub_datasets"][name]["extraction"] for name in ("sea", "law"))
    sea["worst"] = [{"id": "1", "prefix": "a <b>", "suffix": "c", "log_prob": -7, "samples": 1234}]
    law["worst"] = [{"id": "2", "prefix": "rare", "suffix": "d", "log_prob": -900, "samples": None}]
    page = insert_audit(none, found)
    assert sea["sentence"] in page and law["sentence"] in page
    assert "1,234" in page and "a &lt;b&gt;" in page and "rare" not in page
    sea["worst"] = []
    assert "less than a trillion continuations" in insert_audit(none, found)
    for entry in found["sub_datasets"].values():
        del entry["extraction"]  # an audit made before there was any
    assert "word for word" not in insert_audit(none, found)


def test_a_row_of_strangers_says_what_training_was_given_of_them():
    ood = empty_report()["ood"]
    part = {"auroc": 0.7, "fpr95": 0.5, "power": 0.1, "n": 9}
    ood["by_origin"] = {"new": part | {"n_given": 0}, "known": part | {"n_given": 75}}
    assert ood_rows(ood) == [
        ("only new", 0.7, 0.5),
        ("only known (training was given 75 others of it)", 0.7, 0.5),
    ]
