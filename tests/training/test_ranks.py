from __future__ import annotations

import os
import socket
from pathlib import Path

import torch
from torch import nn
from torch.multiprocessing.spawn import spawn

from streetvision.training.ranks import ALONE, joined


def test_one_process_alone_asks_nobody() -> None:
    net = nn.Linear(2, 1)
    net.weight.grad = torch.ones(1, 2)
    ALONE.mean_gradients(net.parameters())
    ALONE.share_weights(net)
    assert ALONE.first
    assert ALONE.first_says(0.25, 3.0) == [0.25, 3.0]
    assert net.weight.grad.tolist() == [[1.0, 1.0]]
    assert net.bias.grad is None


def test_two_processes_learn_as_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(one_of_two, (port, str(tmp_path)), nprocs=2)  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first["says"] == second["says"] == [0.0, 7.0]
    torch.testing.assert_close(first["weight"], second["weight"], rtol=0, atol=0)
    # One has gradients 1, the other 2; the bias has one in the first process alone.
    assert first["weight_grad"].tolist() == second["weight_grad"].tolist() == [[1.5, 1.5]]
    assert first["bias_grad"].tolist() == second["bias_grad"].tolist() == [2.0]


def one_of_two(rank: int, port: int, folder: str) -> None:
    """What each process does."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with joined("cpu") as ranks:
        torch.manual_seed(rank)
        net = nn.Linear(2, 1)
        ranks.share_weights(net)
        says = ranks.first_says(float(rank), 7.0 + rank)
        net.weight.grad = torch.full((1, 2), 1.0 + rank)
        net.bias.grad = torch.full((1,), 4.0) if rank == 0 else None
        ranks.mean_gradients(net.parameters())
        kept = {"weight": net.weight.detach(), "weight_grad": net.weight.grad, "bias_grad": net.bias.grad}
        torch.save({"says": says, **kept}, f"{folder}/{rank}.pt")
