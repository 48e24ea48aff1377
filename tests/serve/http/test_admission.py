"""Who is refused without asking: only where every Scorer would refuse for certain."""

import pytest

from serve.http.admission import AdmissionControl
from serve.replica.messages import Overloaded, ScoreResponse


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def busy(replica="a", room_s=0.5, wait_s=1.0):
    return Overloaded(3, 8, wait_s, room_s, replica)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def admission(clock):
    return AdmissionControl(clock)


def test_nobody_is_refused_before_a_scorer_has_refused(admission):
    assert admission.refusal((1, 10)) is None
    admission.record(ScoreResponse((), "a"), (1, 10))
    assert admission.refusal((1, 10)) is None


def test_a_refusal_holds_for_as_long_as_it_says(admission, clock):
    admission.record(busy(room_s=0.5), (1, 100))
    clock.now += 0.375
    # By then less of the wait is left.
    assert admission.refusal((1, 100)) == busy(room_s=0.5, wait_s=0.625)
    clock.now += 0.115
    assert admission.refusal((1, 100)) is not None
    clock.now += 0.02
    assert admission.refusal((1, 100)) is None


def test_a_smaller_request_may_still_have_room(admission):
    admission.record(busy(), (1, 100))
    assert admission.refusal((1, 99)) is None
    assert admission.refusal((1, 101)) == busy()


def test_so_does_one_with_fewer_texts(admission):
    admission.record(busy(), (8, 100))
    assert admission.refusal((7, 5000)) is None
    assert admission.refusal((8, 100)) == busy()


def test_a_scorer_is_asked_again_after_a_second_whatever_it_said(admission, clock):
    admission.record(busy(room_s=9.0, wait_s=9.0), (1, 100))
    clock.now += 0.9
    assert admission.refusal((1, 100)) is not None
    clock.now += 0.2
    assert admission.refusal((1, 100)) is None


def test_an_answer_ends_a_refusal(admission):
    admission.record(busy(), (1, 100))
    admission.record(ScoreResponse((), "a"), (1, 100))
    assert admission.refusal((1, 100)) is None


def test_one_scorer_that_may_have_room_is_enough(admission):
    admission.record(ScoreResponse((), "b"), (1, 100))
    admission.record(busy("a"), (1, 100))
    assert admission.refusal((1, 100)) is None
    admission.record(busy("b", wait_s=0.7), (1, 100))
    # The client is told of the one that will be free first.
    assert admission.refusal((1, 100)) == busy("b", wait_s=0.7)


def test_a_scorer_that_is_heard_of_no_more_does_not_count(admission, clock):
    admission.record(ScoreResponse((), "gone"), (1, 100))
    clock.now += 30
    admission.record(busy("a"), (1, 100))
    assert admission.refusal((1, 100)) == busy("a")
