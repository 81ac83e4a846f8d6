"""From a SigLIP of open_clip's and prompts to a checkpoint: the image tower, and the texts' embeddings as its head.

A prompt's logit is scale * cosine(image, text) + bias, with the scale and bias that the model was trained with. The
answer is the log-odds of the prompts for roadwork against the others, log mean exp on each side: with several prompts
the best fitting ones of a side decide, and how many there are does not. The text tower is left behind.
"""

from __future__ import annotations

from math import log
from pathlib import Path

import torch
from torch.nn import functional as F

from streetvision.models.architectures import architecture_of
from streetvision.models.checkpoint import save_checkpoint, weights_problem
from streetvision.models.checks import CheckpointError
from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.open_clip_files import IMAGE, OpenClipFiles
from streetvision.models.prompts import SIDES, Prompts
from streetvision.models.text_tower import embed_texts, part_of


def write_prompted(
    files: OpenClipFiles, prompts: Prompts, target: Path, *, name: str, version: str, made_from: str
) -> ModelConfig:
    """Write the checkpoint into `target`; raises CheckpointError with one sentence."""
    _check_image_tower(files)
    scale, bias = _scalar(files, "logit_scale").exp(), _scalar(files, "logit_bias")
    rows, offsets, positive = head_weights(files, prompts, scale=float(scale), bias=float(bias))
    state = {f"backbone.{key}": value for key, value in part_of(files, IMAGE).items()}
    state |= {"head.fc.weight": rows, "head.fc.bias": offsets}
    config = ModelConfig(
        name,
        version,
        files.image_tower,
        input_size=files.input_size,
        mean=files.mean,
        std=files.std,
        resample=files.resample,
        head=HeadConfig("cls_cosine", files.width, classes=len(rows), positive=tuple(range(positive))),
        card={
            "what": f"{made_from} with the embeddings of prompts as its head; no text tower is needed.",
            "made_from": made_from,
            "prompts": prompts.to_card(),
            "logit_scale": round(float(scale), 4),
            "logit_bias": round(float(bias), 4),
        },
    )
    return save_checkpoint(target, config, state, overwrite=True)


def head_weights(
    files: OpenClipFiles, prompts: Prompts, *, scale: float, bias: float
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Rows [C, D] and biases [C] of the head, and how many of them, the first, stand for roadwork."""
    sides = [prompts.texts(side) for side in SIDES]
    embedded = embed_texts(files, [text for texts in sides for text in texts])
    parts = [embedded[: len(sides[0])], embedded[len(sides[0]) :]]
    if prompts.reduction == "mean":
        parts = [F.normalize(part.mean(dim=0, keepdim=True), dim=-1) for part in parts]
    offsets = [torch.full((len(part),), bias - log(len(part))) for part in parts]
    return torch.cat(parts) * scale, torch.cat(offsets), len(parts[0])


def _check_image_tower(files: OpenClipFiles) -> None:
    """Compare widths, names and shapes before anything large is read."""
    with torch.device("meta"):
        tower = architecture_of(files.image_tower).create(files.image_tower, {}, input_size=files.input_size)
    width = tower.num_features
    if width != files.width:
        raise CheckpointError(
            f"The towers in {files.folder} are of unequal width: texts have {files.width} channels, pictures {width}; "
            "choose a model whose image tower needs no projection."
        )
    stored = {name.removeprefix(IMAGE): value for name, value in files.stored.items() if name.startswith(IMAGE)}
    problem = weights_problem(tower.state_dict(), stored)
    if problem is not None:
        raise CheckpointError(f"The image tower's weights in {files.folder} do not fit {files.image_tower}: {problem}.")


def _scalar(files: OpenClipFiles, name: str) -> torch.Tensor:
    value = part_of(files, name)[""].float().flatten()
    if value.numel() != 1 or not bool(torch.isfinite(value).all()):
        raise CheckpointError(f"{name} in {files.weights} is no finite number.")
    return value[0]
