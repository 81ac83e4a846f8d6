"""Gradients that a replayed step lends; the replay itself is tested on a GPU."""

from __future__ import annotations

import pytest
import torch

from streetvision.training.graphs import lent


def test_gradients_that_lie_as_their_weights_do_are_lent_and_others_copied() -> None:
    weights = [torch.zeros(2, 3, requires_grad=True) for _ in range(3)]
    alike, across = torch.ones(2, 3), torch.ones(3, 2).T
    left = lent(weights, [alike, across, None])
    assert weights[0].grad is alike
    assert [weight.grad for weight in weights[1:]] == [None, None]
    assert left[0] is None
    assert left[1] is not None
    assert left[1].data_ptr() != across.data_ptr()
    assert left[2] is None


def test_a_gradient_that_is_there_is_not_lost() -> None:
    weight = torch.zeros(2, requires_grad=True)
    weight.grad = torch.ones(2)
    with pytest.raises(RuntimeError, match="set gradients to None"):
        lent([weight], [torch.ones(2)])
