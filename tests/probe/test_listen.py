"""Listeners of a module: what they hear, and that nothing is left of them."""

import inspect
import sys
import threading

import pytest
import torch
from torch import nn

from copylens.probe.listen import listen


class Scale(nn.Module):
    def forward(self, x, by=2):
        return x * by


def test_arguments_and_output_are_heard_and_not_changed():
    module, heard = Scale(), []
    end = listen(module, lambda args, named: heard.append((args, dict(named))), heard.append)
    x = torch.ones(2)
    assert torch.equal(module(x, by=3), 3 * x)
    assert heard[0] == ((x,), {"by": 3})
    assert torch.equal(heard[1], 3 * x)
    assert list(inspect.signature(module.forward).parameters) == ["x", "by"]
    end()
    module(x)
    assert len(heard) == 2
    assert "forward" not in vars(module)


def test_several_end_in_any_order():
    module, first, second = Scale(), [], []
    ends = [listen(module, after=heard.append) for heard in (first, second)]
    module(torch.ones(1))
    ends[0]()
    module(torch.ones(1))
    ends[0]()
    ends[1]()
    module(torch.ones(1))
    assert (len(first), len(second)) == (1, 2)
    assert "forward" not in vars(module)


def test_a_forward_that_was_replaced_before_comes_back():
    module = Scale()
    module.forward = replaced = lambda x: x + 1
    end = listen(module, after=lambda _: None)
    assert module(torch.zeros(1)) == 1
    end()
    assert module.forward is replaced


@pytest.fixture
def _threads_take_turns_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_threads_take_turns_often")
def test_threads_that_begin_and_end_at_any_time_hear_every_call_of_their_own():
    module, lost, faults = Scale(), [], []

    def observe():
        try:
            for number in range(2000):
                heard = []
                end = listen(module, after=heard.append)
                module(number)
                end()
                lost.extend([] if 2 * number in heard else [number])
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=observe) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (faults, lost) == ([], [])
    assert "forward" not in vars(module)
