"""A model as open_clip keeps one on the hub: a description, both towers' weights, the tokenizer; read and checked.

Nothing of it is run here: the description is data, and the weights are safetensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streetvision.models.architectures import architecture_of
from streetvision.models.checks import CheckpointError, load_json
from streetvision.models.folder import read_description
from streetvision.models.header import StoredTensor, read_header

OPEN_CLIP_CONFIG = "open_clip_config.json"
OPEN_CLIP_WEIGHTS = "open_clip_model.safetensors"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
IMAGE, TEXT = "visual.trunk.", "text."
"""Before the names of each tower's weights."""
TOKENS = 64
"""The texts of SigLIP 2 were always padded to so many tokens, and its text tower reads the last one."""


@dataclass(frozen=True)
class OpenClipFiles:
    """What a folder's description says, and which weights it has."""

    folder: Path
    width: int
    """Of what both towers answer."""
    image_tower: str
    """timm's name of it."""
    input_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resample: str
    text: Mapping[str, Any]
    """open_clip's description of the text tower."""
    stored: Mapping[str, StoredTensor]

    @property
    def weights(self) -> Path:
        """The file of both towers' weights."""
        return self.folder / OPEN_CLIP_WEIGHTS


def is_open_clip(folder: Path) -> bool:
    """Whether a folder holds such a model."""
    return (folder / OPEN_CLIP_CONFIG).is_file()


def read_open_clip(folder: Path) -> OpenClipFiles:
    """Read a SigLIP model's description and the header of its weights; raises CheckpointError with one sentence."""
    fields = load_json(OPEN_CLIP_CONFIG, read_description(folder, OPEN_CLIP_CONFIG))
    model = _table(fields, "model_cfg")
    vision, text = _table(model, "vision_cfg"), _table(model, "text_cfg")
    tower = vision.get("timm_model_name")
    architecture_of(tower)
    if vision.get("timm_pool") != "map" or vision.get("timm_proj") not in (None, "", "none"):
        raise CheckpointError(f"The image tower in {folder} is not SigLIP's: it must pool by attention alone.")
    if text.get("hf_model_name") is not None or text.get("context_length") != TOKENS:
        raise CheckpointError(
            f"The text tower in {folder} is not SigLIP's: it must be open_clip's, of {TOKENS} tokens."
        )
    for name in (OPEN_CLIP_WEIGHTS, *TOKENIZER_FILES[:2]):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder} has no {name}: fetch the model again.")
    stored = read_header(folder / OPEN_CLIP_WEIGHTS)
    for name in ("logit_scale", "logit_bias"):
        if name not in stored:
            raise CheckpointError(f"The weights in {folder} lack {name}, so they are no SigLIP's.")
    preparation = fields.get("preprocess_cfg", {}) if isinstance(fields, dict) else {}
    preparation = preparation if isinstance(preparation, dict) else {}
    return OpenClipFiles(
        folder=folder,
        width=_whole(model, "embed_dim"),
        image_tower=str(tower),
        input_size=_whole(vision, "image_size"),
        mean=_triple(preparation, "mean"),
        std=_triple(preparation, "std"),
        resample=str(preparation.get("interpolation", "bicubic")),
        text=text,
        stored=stored,
    )


def _table(fields: object, name: str) -> dict[str, Any]:
    table = fields.get(name) if isinstance(fields, dict) else None
    if not isinstance(table, dict):
        raise CheckpointError(f"{OPEN_CLIP_CONFIG} lacks {name}: it describes no model of open_clip's.")
    return table


def _whole(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1 << 16:
        raise CheckpointError(f"{OPEN_CLIP_CONFIG}: {name} must be a whole number above 0, not {value!r:.60}.")
    return value


def _triple(fields: Mapping[str, Any], name: str) -> tuple[float, float, float]:
    """Of each colour; one half where the description says nothing, as all SigLIP models have it."""
    value = fields.get(name, [0.5, 0.5, 0.5])
    if not isinstance(value, list) or len(value) != 3 or not all(isinstance(each, int | float) for each in value):
        raise CheckpointError(f"{OPEN_CLIP_CONFIG}: {name} must be 3 numbers, not {value!r:.60}.")
    red, green, blue = (float(each) for each in value)
    return red, green, blue
