"""What the dataset's fields, labels, tags and views are called."""

from __future__ import annotations

from typing import Literal, get_args

Label = Literal["roadwork", "none", "unsure"]
"""What a person says of a picture in the App, by a sample tag or in the field LABEL_FIELD."""
LABELS: tuple[Label, ...] = get_args(Label)
CLASSES = ("none", "roadwork")
"""Order of a prediction's logits: a picture's logit is that of `roadwork`, against 0 for `none`."""

LABEL_FIELD = "ground_truth"
RESOLVED = "label"
"""What tags and LABEL_FIELD together come to; kept by us, for filters and for mistakenness."""
PREDICTION = "prediction"
"""The newest answer, a Classification with logits."""
PREDICTIONS = "predictions"
"""The newest answer of each model version; each Classification names its `model`."""
EMBEDDING = "embedding"
EMBEDDING_MODEL = "embedding_model"
SPLIT = "split"
"""`train` or `val` once a picture was exported; it never changes sides."""
PICK = "pick"
"""Why a picture was picked; only the current picks have it."""
RANK = "pick_rank"
GROUP = "duplicate_group"
"""Pictures with the same number are nearly the same."""
FACTS = ("brightness", "contrast", "clipped", "sharpness")
"""Facts about pixels (inspection.py), each a field."""
FINGERPRINT = "fingerprint"
READABLE = "readable"
OPINION = "opinion"
"""A second opinion by a LabelOracle, a Classification."""

HARD_VIEW = "hard"
