"""Losses against explicit loops and against autograd's numerical gradients."""

import math

import pytest
import torch

from copylens.detector.contrastive import nt_xent, supcon


def unit(n: int, z: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, z, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(x, dim=1)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 2.0])
def test_nt_xent_against_a_double_loop(temperature):
    first, second = unit(5, 3, 0), unit(5, 3, 1)
    both = torch.cat([first, second])
    total = 0.0
    for i in range(10):
        positive = (i + 5) % 10
        terms = [math.exp(float(both[i] @ both[j]) / temperature) for j in range(10) if j != i]
        total -= math.log(math.exp(float(both[i] @ both[positive]) / temperature) / sum(terms))
    assert float(nt_xent(first, second, temperature)) == pytest.approx(total / 10)


@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_supcon_against_a_double_loop(temperature):
    x, labels = unit(8, 4, 2), torch.tensor([0, 0, 0, 1, 1, 2, 3, 3])
    anchors = []
    for i in range(8):
        positives = [p for p in range(8) if p != i and labels[p] == labels[i]]
        if not positives:
            continue
        terms = sum(math.exp(float(x[i] @ x[a]) / temperature) for a in range(8) if a != i)
        logs = [math.log(math.exp(float(x[i] @ x[p]) / temperature) / terms) for p in positives]
        anchors.append(-sum(logs) / len(positives))
    assert float(supcon(x, labels, temperature)) == pytest.approx(sum(anchors) / len(anchors))


def test_supcon_without_positives_is_zero_and_differentiable():
    x = unit(3, 4, 5).requires_grad_()
    loss = supcon(x, torch.tensor([0, 1, 2]), 0.1)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_gradients_against_finite_differences():
    a = unit(4, 3, 7).requires_grad_()
    b = unit(4, 3, 8).requires_grad_()
    labels = torch.tensor([0, 0, 1, 1])
    assert torch.autograd.gradcheck(lambda x, y: nt_xent(x, y, 0.5), (a, b))
    assert torch.autograd.gradcheck(lambda x: supcon(x, labels, 0.5), (a,))
