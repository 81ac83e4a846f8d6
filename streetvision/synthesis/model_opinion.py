"""What a model of the miner's says of pictures: how hard they are, what they embed to, and whether a label is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from streetvision.engine.decode import DecodeLimits, decode_looks
from streetvision.engine.ensemble import Sight
from streetvision.engine.types import BadImage, ImageArray, Runner
from streetvision.labelling.oracle import LabelQuestion, Opinion
from streetvision.sources.neighbours import Vectors

_THREADS, BUCKETS = 4, (1, 8)
SURE = 0.15
"""How far from 0.5 a probability must lie for a model's opinion."""


@dataclass(frozen=True)
class Seen:
    """What the model said of the pictures that could be read."""

    places: np.ndarray[tuple[int], np.dtype[np.int64]]
    """Which of those asked about."""
    probabilities: np.ndarray[tuple[int], np.dtype[np.float64]]
    """P(roadwork)."""
    vectors: Vectors


class LaterOpinion:
    """A model's opinion that is opened when it is first asked for: what is sure needs none."""

    def __init__(self, opening: Callable[[], ModelOpinion]) -> None:
        self._opening = opening

    @cached_property
    def opened(self) -> ModelOpinion:
        """The model, warm; raises OperatorError."""
        return self._opening()

    @property
    def name(self) -> str:
        """The model's."""
        return self.opened.name

    def judge(self, questions: Sequence[LabelQuestion]) -> Sequence[Opinion | None]:
        """See LabelOracle."""
        return self.opened.judge(questions)


def open_opinion(folder: Path, device: str) -> ModelOpinion:
    """The model in `folder`, warm; raises OperatorError."""
    from streetvision.runner.opening import open_runner  # torch takes seconds to import

    runner = open_runner(folder, device=device, buckets=BUCKETS, compile=False)
    runner.warmup(runner.buckets)
    return ModelOpinion(runner)


class ModelOpinion:
    """A warm runner as a LabelOracle, the second best where no better one is configured."""

    def __init__(self, runner: Runner) -> None:
        self._runner, self._sight = runner, Sight(runner)
        self.name = f"the model {runner.version}"

    def see(self, paths: Sequence[Path], progress: Callable[[int], None] = lambda _: None) -> Seen:
        """Its answers, a batch at a time; `progress` hears of each batch's size and may raise."""
        size = self._runner.buckets[-1]
        places, logits, vectors = [], [np.zeros(0)], [np.zeros((0, 0), np.float32)]
        with ThreadPoolExecutor(_THREADS) as pool:
            for start in range(0, len(paths), size):
                images = list(pool.map(self._decoded, paths[start : start + size]))
                shown = [(start + index, image) for index, image in enumerate(images) if image is not None]
                if shown:
                    output = self._runner.run(np.stack([image for _, image in shown]))
                    places += [place for place, _ in shown]
                    logits.append(output.logits.astype(np.float64))
                    vectors.append(output.embeddings.astype(np.float32))
                progress(len(images))
        chances = 1.0 / (1.0 + np.exp(-np.clip(np.concatenate(logits), -40.0, 40.0)))
        return Seen(np.array(places, np.int64), chances, np.concatenate(vectors[1:]) if places else vectors[0])

    def judge(self, questions: Sequence[LabelQuestion]) -> Sequence[Opinion | None]:
        """See LabelOracle: None for what it cannot read, unsure where it is."""
        seen = self.see([question.path for question in questions])
        found: list[Opinion | None] = [None] * len(questions)
        for place, chance in zip(seen.places.tolist(), seen.probabilities.tolist(), strict=True):
            label = "unsure" if abs(chance - 0.5) < SURE else "roadwork" if chance > 0.5 else "none"
            found[place] = Opinion(label, 2 * abs(chance - 0.5))  # type: ignore[arg-type]  # a literal by its making
        return found

    def _decoded(self, path: Path) -> ImageArray | None:
        try:
            return decode_looks(path.read_bytes(), self._sight.plain, limits=DecodeLimits()).array
        except (OSError, BadImage):
            return None
