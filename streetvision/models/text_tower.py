"""Embedding texts by a SigLIP's text tower: once, when a model is added, and never in service (extra `siglip`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from torch.nn import functional as F

from streetvision.errors import OperatorError, reason
from streetvision.models.checkpoint import weights_problem
from streetvision.models.checks import CheckpointError
from streetvision.models.open_clip_files import TEXT, TOKENS, OpenClipFiles

if TYPE_CHECKING:
    from torch import nn

PACKAGES = ("open_clip", "transformers")
BATCH = 16


def require_extra() -> None:
    """Raise OperatorError where the extra is not installed; looks for the packages without importing them."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise OperatorError(
            f"siglip2: needs the extra `siglip`, and {missing[0]} is not there: pip install 'streetvision[siglip]'"
        )


def embed_texts(files: OpenClipFiles, texts: Sequence[str]) -> torch.Tensor:
    """Embeddings [N, D] of unit length, float32; raises CheckpointError, for one where a text is too long."""
    tokens = _tokenised(files, texts)
    tower = _tower(files)
    try:
        with torch.inference_mode():
            embedded = torch.cat([tower(part) for part in torch.split(tokens, BATCH)])
    except (TypeError, ValueError, IndexError, RuntimeError) as error:
        raise CheckpointError(f"The text tower in {files.folder} cannot be computed ({reason(error)}).") from error
    if not bool(torch.isfinite(embedded).all()):
        raise CheckpointError(f"The text tower in {files.folder} answers NaN or infinity; fetch the model again.")
    return F.normalize(embedded.float(), dim=-1)


def _tokenised(files: OpenClipFiles, texts: Sequence[str]) -> torch.Tensor:
    """Token numbers [N, 64], padded, as the tower was trained."""
    from open_clip.tokenizer import HFTokenizer

    options = files.text.get("tokenizer_kwargs")
    clean = options.get("clean", "whitespace") if isinstance(options, dict) else "whitespace"
    try:
        tokenizer = HFTokenizer(str(files.folder), context_length=TOKENS, clean=clean, local_files_only=True)
        longer = tokenizer(list(texts), context_length=TOKENS + 1)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, AssertionError, json.JSONDecodeError) as error:
        raise CheckpointError(f"The tokenizer in {files.folder} cannot be read ({reason(error):.200}).") from error
    padding = tokenizer.tokenizer.pad_token_id
    cut = [text for text, row in zip(texts, longer, strict=True) if int(row[-1]) != padding]
    if cut:
        raise CheckpointError(f"The prompt {cut[0]!r:.120} has more than {TOKENS} tokens: write a shorter one.")
    tokens: torch.Tensor = tokenizer(list(texts))
    return tokens


def _tower(files: OpenClipFiles) -> nn.Module:
    """The text tower with its weights, float32 on the CPU."""
    from streetvision.models.network import WithoutRandomStart

    stored = {name.removeprefix(TEXT): value for name, value in files.stored.items() if name.startswith(TEXT)}
    layers = files.text.get("layers", 0)
    if not isinstance(layers, int) or layers > len(stored):  # building them would take for ever
        raise CheckpointError(f"The text tower in {files.folder} has no weights for {layers!r:.60} layers.")
    with torch.device("meta"):
        expected: dict[str, Any] = _built(files).state_dict()
    problem = weights_problem(expected, stored)
    if problem is not None:
        raise CheckpointError(f"The text tower's weights in {files.folder} do not fit its description: {problem}.")
    with WithoutRandomStart():
        tower = _built(files)
    tower.load_state_dict({name: value.float() for name, value in part_of(files, TEXT).items()})
    return tower.eval().requires_grad_(False)


def _built(files: OpenClipFiles) -> nn.Module:
    """As open_clip builds it; raises CheckpointError where it cannot."""
    from open_clip.model import CLIPTextCfg, _build_text_tower

    known = {field.name for field in fields(CLIPTextCfg)}
    strange = sorted(set(files.text) - known)
    if strange:
        raise CheckpointError(
            f"The text tower in {files.folder} has {strange[0]!r:.60}, which this open_clip does not know: update it."
        )
    try:
        tower: nn.Module = _build_text_tower(files.width, CLIPTextCfg(**files.text))
    except (TypeError, ValueError, ArithmeticError, AssertionError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f"The text tower in {files.folder} cannot be built ({reason(error)}).") from error
    return tower


def part_of(files: OpenClipFiles, prefix: str) -> dict[str, torch.Tensor]:
    """The weights whose names begin so, without that beginning; raises CheckpointError for a damaged file."""
    try:
        with safe_open(files.weights, framework="pt") as stored:
            names = [name for name in stored.keys() if name.startswith(prefix)]  # noqa: SIM118  # it is no mapping
            return {name.removeprefix(prefix): stored.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise CheckpointError(f"{files.weights} is not a valid safetensors file ({error}).") from error
