"""The dataset's fields, and how the App shows them."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from streetvision.labelling.oracle import LABELS
from streetvision.mining.database import Dataset, FiftyOne, FiftyOneLabel
from streetvision.mining.scores import SHARES
from streetvision.sources.labels import CLASSES

LABEL_FIELD = "ground_truth"
"""What a person says of a picture in the App, one of LABELS; a sample tag of that name says the same."""
RESOLVED = "label"
"""What tags and LABEL_FIELD together come to; kept by us, for filters and for mistakenness."""
PREDICTION = "prediction"
"""The newest answer, a Classification with logits."""
PREDICTIONS = "predictions"
"""The newest answer of each model version; each Classification names its `model`."""
FIRST, SECOND = "first_probability", "second_probability"
"""What the first two members of an ensemble said by themselves, where both answered."""
ROUTER = "router"
"""Why the second member of a router answered the newest request, or why not."""
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
VIDEO, VIDEO_TIME, VIDEO_SEGMENT = "video", "video_time", "video_segment"
"""Which video a frame is of, the second in it, and the number of its segment, 0 outside of segments."""
LICENCE = "licence"
"""Of a frame, as its owner named it."""

HARD_VIEW = "hard"


_LABELS = (LABEL_FIELD, PREDICTION, PREDICTIONS, RESOLVED, OPINION)
_WHY = (PICK, RANK, "probability", FIRST, SECOND, *SHARES)
_VIDEO = (VIDEO, VIDEO_TIME, VIDEO_SEGMENT, LICENCE)
_PICTURE = (*FACTS, READABLE, GROUP, "width", "height", "size_bytes", "image", "sha256")
_REQUESTS = (
    "validators",
    "asked",
    "first_seen",
    "last_seen",
    "model_version",
    "status",
    "status_reason",
    "headroom_s",
    "decode_s",
    "queue_s",
    "inference_s",
    "views",
    "batch_size",
    "dialect",
    ROUTER,
)
_TEXTS = (
    *("sha256", "image", "status_reason", "dialect", "model_version"),
    *(EMBEDDING_MODEL, SPLIT, PICK, ROUTER, VIDEO, LICENCE),
)
_COUNTS = ("asked", "status", "size_bytes", "width", "height", "views", "batch_size", RANK, GROUP, VIDEO_SEGMENT)
_NUMBERS = (
    *("probability", "logit", FIRST, SECOND, "headroom_s", "decode_s", "queue_s", "inference_s", VIDEO_TIME),
    *(*FACTS, *SHARES),
)


def declare(fo: FiftyOne, dataset: Dataset) -> None:
    """All fields from the start, so that the App, views and a dataset without labels know them.

    A sample that has them all teaches the dataset at once, and goes; adding field by field takes seconds.
    """
    answer = classification(fo, 0.0, 0.0, model="", request=0)
    said = fo.Classification(label=CLASSES[0], confidence=1.0)
    example = fo.Sample(
        filepath="example.jpg",
        **dict.fromkeys((LABEL_FIELD, RESOLVED, OPINION), said),
        **{PREDICTION: answer, PREDICTIONS: fo.Classifications(classifications=[answer.copy()])},
        **dict.fromkeys(_TEXTS, ""),
        **dict.fromkeys(_COUNTS, 0),
        **dict.fromkeys(_NUMBERS, 0.0),
        **dict.fromkeys(("first_seen", "last_seen"), datetime.fromtimestamp(0, UTC)),
        **{"validators": [""], "requests": [0], READABLE: True},
        **dict.fromkeys((EMBEDDING, FINGERPRINT), np.zeros(1, np.float32)),
    )
    dataset.add_sample(example, dynamic=True)
    dataset.delete_samples([example.id])
    dataset.create_index("sha256", unique=True)
    dataset.default_classes = list(CLASSES)
    _show(fo, dataset)
    dataset.save()


def declare_newer(fo: FiftyOne, dataset: Dataset) -> None:
    """The fields that datasets of earlier releases lack: of an ensemble's members, of frames of videos."""
    texts = dict.fromkeys((ROUTER, VIDEO, LICENCE), fo.StringField)
    numbers = dict.fromkeys((FIRST, SECOND, VIDEO_TIME), fo.FloatField)
    for name, kind in {**texts, **numbers, VIDEO_SEGMENT: fo.IntField}.items():
        if not dataset.has_field(name):
            dataset.add_sample_field(name, kind)


def classification(fo: FiftyOne, probability: float, logit: float, *, model: str, request: int) -> FiftyOneLabel:
    """A model's answer; by the softmax of its logits, 0 and `logit`, roadwork has the sigmoid of `logit`."""
    return fo.Classification(
        label=CLASSES[probability > 0.5],
        confidence=max(probability, 1.0 - probability),
        logits=np.array([0.0, logit]),
        probability=float(probability),
        model=model,
        request=request,
    )


def _show(fo: FiftyOne, dataset: Dataset) -> None:
    """Labels by radio buttons (a new one starts as `unsure`, which teaches nothing), and what matters first."""
    choice = {"type": "classification", "component": "radio", "classes": list(LABELS), "default": LABELS[-1]}
    dataset.set_label_schemas({LABEL_FIELD: choice})
    dataset.activate_label_schemas([LABEL_FIELD])
    known = set(dataset.get_field_schema())
    groups = {"labels": _LABELS, "why": _WHY, "video": _VIDEO, "picture": _PICTURE, "requests": _REQUESTS}
    grouped = {path for paths in groups.values() for path in paths}
    groups["other"] = tuple(sorted(known - grouped - {"tags", "metadata"}))
    dataset.app_config.sidebar_groups = [
        fo.SidebarGroupDocument(name="tags"),
        *(
            fo.SidebarGroupDocument(name=name, paths=list(paths), expanded=name in ("labels", "why"))
            for name, paths in groups.items()
        ),
        fo.SidebarGroupDocument(name="metadata", expanded=False),
    ]
    dataset.app_config.active_fields = fo.ActiveFields(paths=["tags", LABEL_FIELD, PREDICTION, "probability", PICK])
