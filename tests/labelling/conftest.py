"""Pictures to ask about, and a run against the fake server."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_oracle import MODEL, FakeOracle
from PIL import Image

from streetvision.labelling.asking import Asking, AskReport, Clock
from streetvision.labelling.endpoint import Endpoint
from streetvision.labelling.pictures import LOG, Picture
from streetvision.labelling.prompt import Prompt
from streetvision.labelling.store import LabellingStore, asking_store
from streetvision.settings.oracle import OracleSettings
from streetvision.settings.secret import Secret


def jpeg(seed: int, size: tuple[int, int] = (64, 48)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)
    out = BytesIO()
    Image.fromarray(pixels).resize(size).save(out, "JPEG")
    return out.getvalue()


def seen_jpeg(seed: int, *, bright: bool) -> bytes:
    """A picture whose brightness tells its class; no two resemble each other."""
    pixels = np.random.default_rng(seed).integers(0, 120, (6, 8, 3), np.uint8) + (135 if bright else 0)
    out = BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).resize((64, 48)).save(out, "JPEG")
    return out.getvalue()


def draw(folder: Path, count: int, **fields: Any) -> list[Picture]:
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for seed in range(count):
        data, path = jpeg(seed), folder / f"{seed}.jpg"
        path.write_bytes(data)
        pictures.append(Picture(hashlib.sha256(data).hexdigest(), path, LOG, **fields))
    return pictures


@dataclass
class Slept:
    """A clock whose sleeps take no time."""

    seconds: float = 0.0
    pauses: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.pauses.append(seconds)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: "2026-11-30T12:00:00+00:00", lambda: self.seconds, self.sleep)


def settings(oracle: FakeOracle, **changes: Any) -> OracleSettings:
    plain: dict[str, Any] = {"crops": 0, "concurrency": 1, "timeout_s": 5.0, "key": Secret("sk-secret")}
    priced = {"input_price": 1.0, "output_price": 4.0, "price_date": "2026-11-30"}
    return OracleSettings(**{"url": oracle.url, "model": MODEL, **plain, **priced, **changes})


def prompt(wanted: OracleSettings) -> Prompt:
    return Prompt(wanted.model, wanted.pixels, wanted.answer_tokens)


@dataclass
class Asker:
    """Asks as a run does."""

    state: Path
    slept: Slept = field(default_factory=Slept)

    async def ask(self, wanted: OracleSettings, pictures: Sequence[Picture], **kwargs: Any) -> AskReport:
        with asking_store(self.state) as store:
            store.note(pictures)
            async with Endpoint(wanted.url, wanted.key, wanted.timeout_s) as endpoint:
                asking = Asking(wanted, prompt(wanted), store, endpoint, clock=self.slept.clock, **kwargs)
                return await asking.run(pictures)

    def store(self) -> LabellingStore:
        return LabellingStore(self.state)


@pytest.fixture
def asker(tmp_path: Path) -> Asker:
    return Asker(tmp_path / "state")
