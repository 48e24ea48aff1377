"""One bad item costs only itself; what is bad for all is nobody's fault and is raised."""

import pytest

from copylens.corpus.quarantine import results_or_reasons
from copylens.errors import TextError


def test_all_at_once_where_nothing_is_wrong():
    calls = []

    def double(items):
        calls.append(list(items))
        return [2 * item for item in items]

    assert results_or_reasons([1, 2, 3], double) == [2, 4, 6]
    assert calls == [[1, 2, 3]]


@pytest.mark.parametrize("fault", [TextError("text 0 is empty"), RuntimeError("out of memory")])
def test_the_bad_one_is_told_by_its_reason(fault):
    def work(items):
        if 2 in items:
            raise fault
        return [-item for item in items]

    expected = str(fault).removeprefix("text 0 ")
    assert results_or_reasons([1, 2, 3], work) == [-1, expected, -3]


def test_what_fails_for_every_item_is_raised():
    def broken(items):
        raise RuntimeError("the device is gone")

    with pytest.raises(RuntimeError, match="device is gone"):
        results_or_reasons([1, 2], broken)


def test_texts_that_are_all_bad_are_all_refused():
    def empty(items):
        raise TextError("text 0 is empty")

    assert results_or_reasons([1, 2], empty) == ["is empty", "is empty"]
