"""Who is refused without asking: only where every Scorer would refuse for certain."""

import pytest

from serve.http.admission import Turnstile
from serve.replica.messages import Busy, Scored


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def busy(replica="a", room_s=0.5, wait_s=1.0):
    return Busy(3, 8, wait_s, room_s, replica)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def turnstile(clock):
    return Turnstile(clock)


def test_nobody_is_refused_before_a_scorer_has_refused(turnstile):
    assert turnstile.refusal((1, 10)) is None
    turnstile.note(Scored((), "a"), (1, 10))
    assert turnstile.refusal((1, 10)) is None


def test_a_refusal_holds_for_as_long_as_it_says(turnstile, clock):
    turnstile.note(busy(room_s=0.5), (1, 100))
    clock.now += 0.375
    # By then less of the wait is left.
    assert turnstile.refusal((1, 100)) == busy(room_s=0.5, wait_s=0.625)
    clock.now += 0.115
    assert turnstile.refusal((1, 100)) is not None
    clock.now += 0.02
    assert turnstile.refusal((1, 100)) is None


def test_a_smaller_request_may_still_have_room(turnstile):
    turnstile.note(busy(), (1, 100))
    assert turnstile.refusal((1, 99)) is None
    assert turnstile.refusal((1, 101)) == busy()


def test_so_does_one_with_fewer_texts(turnstile):
    turnstile.note(busy(), (8, 100))
    assert turnstile.refusal((7, 5000)) is None
    assert turnstile.refusal((8, 100)) == busy()


def test_a_scorer_is_asked_again_after_a_second_whatever_it_said(turnstile, clock):
    turnstile.note(busy(room_s=9.0, wait_s=9.0), (1, 100))
    clock.now += 0.9
    assert turnstile.refusal((1, 100)) is not None
    clock.now += 0.2
    assert turnstile.refusal((1, 100)) is None


def test_an_answer_ends_a_refusal(turnstile):
    turnstile.note(busy(), (1, 100))
    turnstile.note(Scored((), "a"), (1, 100))
    assert turnstile.refusal((1, 100)) is None


def test_one_scorer_that_may_have_room_is_enough(turnstile):
    turnstile.note(Scored((), "b"), (1, 100))
    turnstile.note(busy("a"), (1, 100))
    assert turnstile.refusal((1, 100)) is None
    turnstile.note(busy("b", wait_s=0.7), (1, 100))
    # The client is told of the one that will be free first.
    assert turnstile.refusal((1, 100)) == busy("b", wait_s=0.7)


def test_a_scorer_that_is_heard_of_no_more_does_not_count(turnstile, clock):
    turnstile.note(Scored((), "gone"), (1, 100))
    clock.now += 30
    turnstile.note(busy("a"), (1, 100))
    assert turnstile.refusal((1, 100)) == busy("a")
