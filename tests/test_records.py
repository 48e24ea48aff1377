"""A verdict as plain values: what `dataclasses.asdict` would give, in its order."""

from dataclasses import asdict, replace

from copylens.records import TimelineItem
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
