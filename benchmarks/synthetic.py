"""Do local variations pay? A probe on the bundled model's embeddings, with and without, over k labelled pictures.

The pictures to learn from are drawn streets by day and dry; judged are others of that sort, and streets that the
painter draws by night or in rain, which no effect of the local back end has touched. Photographs judge only where a
folder is named. The variations come beside k real pictures as `--synthetic.max_share` 0.25 has them, k / 3 of them,
kinds in turn, each with weight 0.5. Nothing was tuned on these figures.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
from harness import RESULTS, Row, machine, report
from numpy.typing import NDArray
from PIL import Image

from streetvision.labelling.oracle import NoOracle
from streetvision.models.folder import bundled_checkpoint
from streetvision.scenes.photographic import encode_jpeg
from streetvision.scenes.scenes import render_scene
from streetvision.scenes.street import draw_street
from streetvision.sources.dataset import Example
from streetvision.sources.folder_dataset import FolderDataset
from streetvision.sources.label_noise import probe
from streetvision.synthesis.back_ends.local import Local
from streetvision.synthesis.kinds import kinds_named
from streetvision.synthesis.making import Maker
from streetvision.synthesis.model_opinion import ModelOpinion, open_opinion
from streetvision.synthesis.planning import plan
from streetvision.synthesis.store import open_store

SEEDS = (0, 1, 2, 3, 4)
BUDGETS = (20, 40)
JUDGED = 40
"""Pictures of each sort that judge."""
SIZE = (384, 288)
FIRST_SCENE = 900_000_000
WEATHER, THINGS = ("night", "rain", "fog", "snow", "dirt"), ("works", "look_alikes")
MIXES = {"all kinds": (*WEATHER, *THINGS), "weather": WEATHER, "works and look-alikes": THINGS}
WEIGHT = 0.5


@dataclass(frozen=True)
class Known:
    """Pictures as the probe sees them, vectors [N, D] and labels [N]."""

    vectors: NDArray[np.float32]
    labels: NDArray[np.bool_]


@dataclass(frozen=True)
class Trial:
    """One seed's pictures: what is learned from, its variations with kinds and parents, what judges."""

    real: Known
    made: Known
    kinds: Sequence[str]
    parents: NDArray[np.int64]
    judges: dict[str, Known]


def drawn(folder: Path, first: int, count: int, *, wet_or_dark: bool) -> list[Example]:
    """So many scenes from a seed on, half of them with works: by night or in rain, or else light and clear."""
    found: list[Example] = []
    for seed in range(first, first + 100_000):
        light = draw_street(Random(f"{seed}/street")).light
        dark_or_rain = light.name == "night" or light.weather == "rain"
        if not (dark_or_rain if wet_or_dark else light.name in ("sunny", "overcast") and light.weather == "clear"):
            continue
        scene = render_scene(seed, roadwork=len(found) % 2 == 0, size=SIZE)
        assert scene.conditions[1:] == (light.name, light.weather)
        data = encode_jpeg(Image.fromarray(scene.image), 90)
        path = folder / f"{seed}.jpg"
        path.write_bytes(data)
        found.append(Example(path, scene.roadwork, f"{seed}", "train", sha256=hashlib.sha256(data).hexdigest()))
        if len(found) == count:
            break
    return found


def embedded(opinion: ModelOpinion, paths: Sequence[Path], labels: Sequence[bool]) -> Known:
    """All of them; a picture that cannot be read is a defect here."""
    seen = opinion.see(paths)
    assert len(seen.places) == len(paths)
    return Known(seen.vectors, np.array(labels, np.bool_))


def trial(folder: Path, seed: int, opinion: ModelOpinion, most: int, judged: int) -> Trial:
    """Draw, vary and embed one seed's pictures."""
    first = FIRST_SCENE + seed * 1_000_000
    parents = drawn(folder, first, most, wet_or_dark=False)
    judges = {"by day": drawn(folder, first + 200_000, judged, wet_or_dark=False)}
    judges["by night or in rain"] = drawn(folder, first + 400_000, judged, wet_or_dark=True)
    wishes = plan(parents, kinds_named(MIXES["all kinds"]), most, seed, ())
    with open_store(folder) as store:
        Maker(store, f"seed{seed}", Local(), NoOracle()).make(wishes)
        made = store.kept(f"seed{seed}")
    place = {one.sha256: index for index, one in enumerate(parents)}
    return Trial(
        embedded(opinion, [one.path for one in parents], [one.label for one in parents]),
        embedded(opinion, [one.path for one in made], [one.label for one in made]),
        [one.kind for one in made],
        np.array([place[one.parent] for one in made], np.int64),
        {name: embedded(opinion, [one.path for one in some], [one.label for one in some])
         for name, some in judges.items()},
    )  # fmt: skip


def recalls(one: Trial, judge: Known, k: int, kinds: Sequence[str], seed: int) -> NDArray[np.float64]:
    """Shares of right answers with roadwork and without, learned from k real pictures and k / 3 variations of them."""
    fitting = np.flatnonzero(np.isin(one.kinds, kinds) & (one.parents < k))
    chosen = np.random.default_rng((61, seed)).permutation(fitting)[: k // 3]
    vectors = np.concatenate([one.real.vectors[:k], one.made.vectors[chosen]])
    labels = np.concatenate([one.real.labels[:k], one.made.labels[chosen]])
    weights = np.concatenate([np.ones(k), np.full(len(chosen), WEIGHT)])
    right = (probe(vectors, labels, judge.vectors, weights) > 0.5) == judge.labels
    return np.array([right[judge.labels].mean(), right[~judge.labels].mean()])


def rows(trials: Sequence[Trial], seeds: Sequence[int], budgets: Sequence[int]) -> list[Row]:
    """A row for each judge, mix and budget."""
    return [row(trials, seeds, name, mix, k) for name in trials[0].judges for mix in MIXES for k in budgets]


def row(trials: Sequence[Trial], seeds: Sequence[int], name: str, mix: str, k: int) -> Row:
    """Means over the seeds, and the gain's spread from seed to seed."""
    before, after = (
        np.array([recalls(one, one.judges[name], k, kinds, seed) for one, seed in zip(trials, seeds, strict=True)])
        for kinds in ((), MIXES[mix])
    )
    gain = (after - before).mean(axis=1)
    roadwork, none = (after - before).mean(axis=0)
    return {
        **{"judged": name, "variations": mix, "k": k},
        **{"without": float(before.mean()), "with": float(after.mean()), "gain": float(gain.mean())},
        "spread of the gain": float(gain.std(ddof=1)) if len(gain) > 1 else None,
        **{"roadwork": float(roadwork), "none": float(none)},
        "gain by seed": ", ".join(f"{value:+.3f}" for value in gain),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--budgets", type=int, nargs="+", default=list(BUDGETS))
    parser.add_argument("--judged", type=int, default=JUDGED)
    parser.add_argument("--photographs", type=Path, help="folder of labelled photographs that judge too")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    where = machine()
    opinion = open_opinion(bundled_checkpoint(), given.device)
    photographs = [] if given.photographs is None else FolderDataset(given.photographs).examples()
    real = embedded(opinion, [one.path for one in photographs], [one.label for one in photographs])
    trials = []
    for seed in given.seeds:
        with TemporaryDirectory() as scratch:
            trials.append(trial(Path(scratch), seed, opinion, max(given.budgets), given.judged))
        if photographs:
            trials[-1].judges["photographs"] = real
        print(f"seed {seed} is drawn", flush=True)
    title = "Balanced accuracy of a probe with and without local variations of its k pictures, means of the seeds"
    report("synthetic", title, rows(trials, given.seeds, given.budgets), where, given.out)


if __name__ == "__main__":
    main()
