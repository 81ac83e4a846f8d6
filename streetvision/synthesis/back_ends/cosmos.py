"""NVIDIA Cosmos by its NIM: `POST /v1/infer`, which answers when it is done, after up to half an hour.

The transfer model turns one clip into another that keeps its edges, so a still goes out as a short clip and one frame
of what comes back is taken. Encoding and decoding clips needs PyAV.
"""

from __future__ import annotations

from streetvision.synthesis.back_end import Declined, Order
from streetvision.synthesis.back_ends.clip import frame_of, require_av, still_clip
from streetvision.synthesis.back_ends.http import Endpoint, packed, unpacked
from streetvision.synthesis.kinds import KINDS, Kind

SECONDS = 1800.0
EDGES = 0.9
"""How closely the edges of the parent are kept, of 1."""


class Cosmos:
    """One NIM."""

    kinds = frozenset(KINDS) - {"blur", "dirt", "works", "without", "look_alikes"}
    """What keeps a clip's edges neither adds works nor takes them away."""
    remote = True

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        """`model` is what the record says of it."""
        self._endpoint, self._model = endpoint, model

    @property
    def name(self) -> str:
        """With the model where the operator names one."""
        return f"cosmos {self._model}".strip()

    def sure(self, kind: Kind) -> bool:
        """Never: a generator may lose works."""
        return False

    def check(self) -> str:
        """Whether it is ready, and whether clips can be made here."""
        require_av()
        self._endpoint.get("/v1/health/ready")
        return f"{self._endpoint.url} is ready"

    def make(self, order: Order) -> bytes:
        """One frame of the clip that comes back, or the picture where it sends one."""
        body = {
            "prompt": order.kind.prompt,
            "video": packed(still_clip(order.picture), "video/mp4"),
            "seed": order.seed,
            "edge": {"control_weight": EDGES},
        }
        answer = self._endpoint.post("/v1/infer", SECONDS, json=body)
        if "b64_image" in answer:
            return unpacked(answer["b64_image"])
        if "b64_video" in answer:
            return frame_of(unpacked(answer["b64_video"]))
        raise Declined("the answer holds neither a picture nor a clip")

    def close(self) -> None:
        """Each exchange closes its own connection."""
