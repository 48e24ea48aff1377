"""A verdict as plain values: what `dataclasses.asdict` would give, in its order."""

from dataclasses import asdict, replace

import pytest

from copylens.records import TimelineItem, name_of
from tests.generation.live_samples import verdict


def test_a_verdicts_dict_is_asdicts_and_shares_nothing_with_it():
    item = TimelineItem(0, 3, {"sea": 0.5})
    one = replace(verdict("sea"), timeline=(item,), evidence=({"kind": "verbatim"},))
    row = one.to_dict()
    assert row == asdict(one)
    assert list(row) == list(asdict(one))
    row["timeline"][0]["shares"]["sea"] = 1.0
    row["evidence"][0]["kind"] = "nearest"
    assert one.timeline[0].shares == {"sea": 0.5}
    assert one.evidence[0] == {"kind": "verbatim"}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("a 7", "a 7"),
        (7, "7"),
        (0, "0"),
        (1.5, "1.5"),
        ("", None),
        ("  ", None),
        (None, None),
        ("a\ud800", "a?"),
    ],
)
def test_a_name_is_the_string_of_what_the_row_gives_and_a_blank_one_is_none(given, name):
    assert name_of(given) == name
    named = verdict("sea").named(given, given)
    assert (named.id, named.document) == (name, name)
    assert list(named.to_dict())[:2] == ["id", "document"]


def test_without_a_question_there_is_no_evidence_and_an_empty_list_says_that_none_was_found():
    one = verdict("sea")
    assert (one.to_dict()["evidence"], one.evidence_reason) == (None, "not asked for")
    assert replace(one, evidence=(), evidence_reason=None).to_dict()["evidence"] == ()
