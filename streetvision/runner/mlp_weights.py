"""The two shapes of MLP that timm's transformers have, and the tensors that a forward of ours multiplies by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from timm.layers.activations import GELUTanh
from timm.layers.mlp import GluMlp, Mlp, SwiGLU
from torch import nn


@dataclass(frozen=True)
class MlpWeights:
    """Two linear layers: weight [out, in] and bias [out] each, with GELU or SwiGLU between them."""

    fc1: tuple[torch.Tensor, torch.Tensor | None]
    """For SwiGLU gates first, then values: [2H, D]."""
    fc2: tuple[torch.Tensor, torch.Tensor | None]


def unsupported_mlp(mlp: nn.Module) -> str | None:
    """What of it a forward of ours cannot compute, as a clause; None if it can compute it all."""
    known: Any = mlp
    if not isinstance(mlp, Mlp | SwiGLU | GluMlp) or not isinstance(known.norm, nn.Identity):
        return "its MLP is not two linear layers"
    if isinstance(mlp, Mlp):
        if not isinstance(known.fc1, nn.Linear):
            return "its MLP is not two linear layers"
        return None if isinstance(known.act, nn.GELU | GELUTanh) else "its activation is not GELU"
    if isinstance(mlp, GluMlp) and (not isinstance(known.fc1, nn.Linear) or known.gate_last or known.chunk_dim != -1):
        return "its gates are not the first half of a linear layer"
    return None if isinstance(known.act, nn.SiLU) else "the activation of its gates is not SiLU"


def is_gated(mlp: nn.Module) -> bool:
    """Whether it is SwiGLU rather than GELU."""
    return isinstance(mlp, SwiGLU | GluMlp)


def is_tanh(mlp: Any) -> bool:  # noqa: ANN401  # timm's modules carry no types
    """Whether its GELU is the network's own tanh form; a forward that always takes that form need not ask."""
    return isinstance(mlp.act, GELUTanh) or getattr(mlp.act, "approximate", "none") == "tanh"


def mlp_weights(mlp: Any) -> MlpWeights:  # noqa: ANN401  # timm's modules carry no types
    """The tensors of an MLP that is not `unsupported_mlp`."""
    fc2 = (mlp.fc2.weight, mlp.fc2.bias)
    if not isinstance(mlp, SwiGLU):
        return MlpWeights((mlp.fc1.weight, mlp.fc1.bias), fc2)
    gate, value = mlp.fc1_g, mlp.fc1_x
    bias = None if gate.bias is None else torch.cat((gate.bias, value.bias))
    return MlpWeights((torch.cat((gate.weight, value.weight)), bias), fc2)
