"""An image-editing model behind vLLM-Omni, by its OpenAI-compatible `/v1/images/edits`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from streetvision.base.log_text import one_line
from streetvision.synthesis.back_end import Declined, NotSent, Order
from streetvision.synthesis.back_ends.http import Endpoint, unpacked
from streetvision.synthesis.kinds import KINDS, Kind

SECONDS = 600.0


class VllmOmni:
    """One server, which serves one model."""

    kinds = frozenset(KINDS) - {"blur", "dirt"}
    remote = True

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        """`model` empty: whichever the server has."""
        self._endpoint, self._model = endpoint, model

    @property
    def name(self) -> str:
        """With the model where the operator names one."""
        return f"vllm-omni {self._model}".strip()

    def sure(self, kind: Kind) -> bool:
        """Never: a generator may add works, and lose them."""
        return False

    def check(self) -> str:
        """Whether the server has the model."""
        try:
            listed = json.loads(self._endpoint.get("/v1/models"))
            names = [str(one["id"]) for one in listed["data"]]
        except (ValueError, LookupError, TypeError, RecursionError):
            raise NotSent(f"{self._endpoint.url} is no vLLM server: correct --synthetic.url") from None
        if not names or (self._model and self._model not in names):
            raise NotSent(f"{self._endpoint.url} serves {_listed(names)}, not {self._model}: correct --synthetic.model")
        return f"{self._endpoint.url} serves {_listed(names)}"

    def make(self, order: Order) -> bytes:
        """One edit of the parent."""
        fields = {"prompt": order.kind.prompt, "seed": str(order.seed), "n": "1", "output_format": "jpeg"}
        fields |= {"response_format": "b64_json"} | ({"model": self._model} if self._model else {})
        files = {"image": ("parent.jpg", order.picture, "image/jpeg")}
        answer = self._endpoint.post("/v1/images/edits", SECONDS, data=fields, files=files)
        try:
            text = answer["data"][0]["b64_json"]
        except (LookupError, TypeError):
            raise Declined("the answer holds no picture") from None
        return unpacked(text)

    def close(self) -> None:
        """Each exchange closes its own connection."""


def _listed(names: Sequence[str]) -> str:
    """Fit for a terminal, whatever the server calls its models."""
    return one_line(", ".join(names))[:200] or "none"
