"""What a router keeps of an ensemble's gain, and at what share of its cost: unsure, far, both, random, always.

`draw` lets several models answer challenges as validators send them (drawn scenes under their augmentations) and keeps
logits and embeddings; with `--shifted` rules are fitted to fair and clear pictures and judged on mostly dark, wet and
degraded ones. `judge` fits each rule to one part of them and judges it on another that no fit has seen. Cost is the
share of pictures on which the second model runs; always asking it costs 1. `kept` is the share of the gain in right
answers that a rule keeps, `kept nll` that of the gain in log loss, each with the interval that holds it in 95 of 100
resamplings of the pictures. A challenge's label says what the scene shows, which a crop may have cut off, so no model
gets all of them right.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import RESULTS, Row, machine, report
from numpy.typing import NDArray
from shifted_stream import FIRST_SCENE, SHIFTED, jobs, picture

from streetvision.engine.decode import DecodeLimits, decode_looks
from streetvision.engine.types import RunnerOutput
from streetvision.engine.views import Eye, plain_look
from streetvision.evaluation.figures import Bools, Floats, Sample, weighted_figures
from streetvision.evaluation.router_fit import PairAnswers, fit_router
from streetvision.models.embedding_distance import known_embeddings
from streetvision.models.router import RULES, Rule
from streetvision.runner.torch_runner import TorchRunner
from streetvision.scenes.challenges import challenge

SHARES = (0.1, 0.2, 0.3, 0.5)
STACKED = 0.3
"""Least share with enough pictures for a stack."""
FIRST_SEED = 40_000_000
"""Far from the seeds that any test or calibration uses."""
KNOWN, FITTED = 0.2, 0.3
"""Parts of the pictures that distances are learnt from and that thresholds are fitted to; the rest judges."""
DRAWS = 2000
GOAL = 0.95
SHIFTED_SEEDS = 1_000_000
BATCH = 8
SAVE_EVERY = 200


@dataclass(frozen=True)
class Answers:
    """What each model answered to N challenges."""

    labels: Bools
    logits: dict[str, Floats]
    embeddings: dict[str, NDArray[np.float32]]

    def save(self, path: Path) -> None:
        """Embeddings in half precision."""
        arrays: dict[str, Any] = {f"logits_{name}": values for name, values in self.logits.items()}
        arrays |= {f"emb_{name}": values.astype(np.float16) for name, values in self.embeddings.items()}
        np.savez(path, labels=self.labels, **arrays)


def load(path: Path) -> Answers:
    with np.load(path) as kept:
        names = [name.removeprefix("logits_") for name in kept if name.startswith("logits_")]
        return Answers(
            kept["labels"],
            {name: kept[f"logits_{name}"].astype(np.float64) for name in names},
            {name: kept[f"emb_{name}"].astype(np.float32) for name in names},
        )


def sent(count: int, *, shifted: bool) -> Iterator[tuple[bytes, bool]]:
    """Pictures and labels: challenges, or a stream that shifts where judging begins."""
    if not shifted:
        for seed in range(FIRST_SEED, FIRST_SEED + count):
            asked = challenge(seed, native=False)
            yield asked.jpeg, asked.label
        return
    rng, early = np.random.default_rng(0), int((KNOWN + FITTED) * count)
    seeds = range(FIRST_SCENE + SHIFTED_SEEDS, FIRST_SCENE + 2 * SHIFTED_SEEDS)
    yield from map(picture, jobs(rng, seeds, early, 0.0))
    yield from map(picture, jobs(rng, seeds[SHIFTED_SEEDS // 2 :], count - early, SHIFTED))


def draw(models: dict[str, Path], count: int, out: Path, *, shifted: bool) -> None:
    """Answer `count` pictures by each model, and save what is there now and then."""
    runners = {
        name: TorchRunner(folder, device="cpu", buckets=(1, BATCH), compile=False, threads=torch.get_num_threads())
        for name, folder in models.items()
    }
    for runner in runners.values():
        runner.warmup(runner.buckets)
    eyes = [Eye(runner.input_size, "squash") for runner in runners.values()]
    labels: list[bool] = []
    outputs: dict[str, list[RunnerOutput]] = {name: [] for name in runners}
    stream = sent(count, shifted=shifted)
    while asked := list(islice(stream, BATCH)):
        decoded = [
            decode_looks(jpeg, lambda w, h: [plain_look(w, h, eye) for eye in eyes], limits=DecodeLimits())
            for jpeg, _ in asked
        ]
        pictures = [[one.array, *one.others] for one in decoded]
        for place, (name, runner) in enumerate(runners.items()):
            outputs[name].append(runner.run(np.stack([each[place] for each in pictures])))
        labels += [label for _, label in asked]
        if len(labels) % SAVE_EVERY == 0 or len(labels) == count:
            _gathered(labels, outputs).save(out)
            print(f"{len(labels):,} of {count:,}", flush=True)


def _gathered(labels: list[bool], outputs: dict[str, list[RunnerOutput]]) -> Answers:
    return Answers(
        np.array(labels),
        {name: np.concatenate([one.logits for one in found]) for name, found in outputs.items()},
        {name: np.concatenate([one.embeddings for one in found]) for name, found in outputs.items()},
    )


@dataclass(frozen=True)
class Part:
    """Some of the pictures, answered by both models of a pair, and how far they are from what the first knows."""

    pair: PairAnswers
    distances: Floats

    @property
    def labels(self) -> Bools:
        """[N]."""
        return self.pair.first.labels


def parts(answers: Answers, first: str, second: str) -> tuple[Part, Part]:
    """To fit to, and to judge on."""
    count = len(answers.labels)
    edges = (0, int(KNOWN * count), int((KNOWN + FITTED) * count), count)
    known = known_embeddings(answers.embeddings[first][: edges[1]])
    found = []
    for low, high in ((edges[1], edges[2]), (edges[2], edges[3])):
        groups = np.arange(low, high).astype(np.str_)
        mine, other = (
            Sample(answers.logits[name][low:high], answers.labels[low:high], groups) for name in (first, second)
        )
        vectors = answers.embeddings[first][low:high]
        found.append(Part(PairAnswers(mine, other, vectors), known.distances(vectors).astype(np.float64)))
    return found[0], found[1]


def rows_of(answers: Answers, first: str, second: str) -> Iterator[Row]:
    """Every rule at every share, beside the first model alone and both always."""
    fit, test = parts(answers, first, second)
    name = f"{first}, then {second}"
    averaged = fit_router("unsure", fit.pair, fit.distances, 0.5)
    both = averaged.both(test.pair)
    begin: Row = {"models": name, "rule": "first alone", "together": "mean", "share": "", "cost": 0.0}
    end: Row = {"models": name, "rule": "always both", "together": "mean", "share": "", "cost": 1.0}
    begin |= _judged(test.pair.first, both, test.pair.first)
    end |= _judged(test.pair.first, both, both)
    yield from (begin, end)
    for share in SHARES:
        stack: list[tuple[Rule, str]] = [("unsure", "stack")] if share >= STACKED else []
        for rule, together in (*((rule, "mean") for rule in RULES), *stack):
            fitted = fit_router(rule, fit.pair, fit.distances, share, stacked=together == "stack")
            asked = fitted.asked(test.pair, test.distances)
            cells: Row = {"models": name, "rule": rule, "together": together, "share": f"{share:.0%}"}
            cells["cost"] = round(float(asked.mean()), 3)
            yield cells | _judged(test.pair.first, both, fitted.answers(test.pair, asked))
        chance: Row = {"models": name, "rule": "random", "together": "mean", "share": f"{share:.0%}", "cost": share}
        yield chance | _random(begin, end, share)


def _random(first: Row, both: Row, share: float) -> Row:
    """What asking about pictures at random comes to on average; exact, so without an interval."""
    cells: Row = dict.fromkeys(name for name in first if name not in ("models", "rule", "together", "share", "cost"))
    for name in ("accuracy", "nll"):
        start, end = float(first[name] or 0), float(both[name] or 0)
        cells[name] = round(start + share * (end - start), 4)
    return cells | {"kept": share, "kept nll": share}


def _judged(first: Sample, both: Sample, sample: Sample) -> Row:
    """Figures, and what is kept of the gain that both models bring over the first one."""
    figures = weighted_figures(sample, np.ones((1, len(sample))))
    right = [(one.said == one.labels).astype(np.float64) for one in (first, both, sample)]
    loss = [-_losses(one) for one in (first, both, sample)]
    return {
        **{name: round(float(figures[name][0]), 4) for name in ("accuracy", "mcc", "nll")},
        **_kept("kept", *right),
        **_kept("kept nll", *loss),
        "accuracy beyond both 95 %": _interval(right[2] - right[1]),
    }


def _losses(sample: Sample) -> Floats:
    return np.logaddexp(0.0, np.where(sample.labels, -sample.logits, sample.logits))


def _kept(name: str, first: Floats, both: Floats, own: Floats) -> Row:
    """Share of the gain that is kept; no interval where a tenth of the resamplings show no gain."""
    gains = np.stack([own - first, both - first])
    if gains[1].sum() <= 0:
        return {name: None, f"{name} 95 %": None}
    part, whole = (_resampled(gain) for gain in gains)
    known = (whole > 0).mean() >= 0.9
    shares = part[whole > 0] / whole[whole > 0]
    return {name: round(float(gains[0].sum() / gains[1].sum()), 3), f"{name} 95 %": _between(shares) if known else None}


def _interval(values: Floats) -> str:
    return _between(_resampled(values) / len(values), "+.4f")


def _resampled(values: Floats) -> Floats:
    """[DRAWS]: sums over as many pictures, drawn with replacement; the same draws every time."""
    rng = np.random.default_rng(1)
    return np.array([values[rng.integers(0, len(values), len(values))].sum() for _ in range(DRAWS)])


def _between(values: Floats, form: str = ".2f") -> str:
    low, high = np.quantile(values, (0.025, 0.975))
    return f"{low:{form}} to {high:{form}}"


def plot(rows: list[Row], path: Path) -> None:
    """Kept gain over cost, a panel for each pair of models."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pairs = list(dict.fromkeys(str(row["models"]) for row in rows))
    figure, panels = pyplot.subplots(1, len(pairs), figsize=(5.2 * len(pairs), 4.2), sharey=True, squeeze=False)
    for panel, pair in zip(panels[0], pairs, strict=True):
        for rule in (*RULES, "random"):
            line = [r for r in rows if r["models"] == pair and r["rule"] == rule and r["together"] == "mean"]
            line = [row for row in line if row["kept"] is not None]
            panel.plot([0, *[r["cost"] for r in line], 1], [0, *[r["kept"] for r in line], 1], marker="o", label=rule)
        panel.axhline(GOAL, color="grey", linewidth=0.8, linestyle=":")
        panel.axvline(0.3, color="grey", linewidth=0.8, linestyle=":")
        panel.set_title(pair, fontsize=10)
        panel.set_xlabel("share of pictures that the second model sees")
    panels[0][0].set_ylabel("share of the gain in right answers that is kept")
    panels[0][0].legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("draw", "judge"))
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FOLDER", help="repeat it for several")
    parser.add_argument("--pair", action="append", default=[], metavar="FIRST,SECOND", help="what `judge` looks at")
    parser.add_argument("--shifted", action="store_true", help="draw a stream that shifts")
    parser.add_argument("--count", type=int, default=6000, help="challenges to answer")
    parser.add_argument("--answers", type=Path, default=Path("router-answers.npz"), help="what `draw` writes")
    parser.add_argument("--name", default="router", help="of the file with the results")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for it")
    parser.add_argument("--plot", type=Path, help="write the curves as a PNG file")
    arguments = parser.parse_args()
    where = machine()
    models = {name: Path(folder) for name, _, folder in (text.partition("=") for text in arguments.model)}
    if arguments.stage == "draw":
        draw(models, arguments.count, arguments.answers, shifted=arguments.shifted)
    else:
        answers = load(arguments.answers)
        rows = [row for pair in arguments.pair for row in rows_of(answers, *pair.split(","))]
        where |= {
            "challenges": len(answers.labels),
            "judged": len(parts(answers, *arguments.pair[0].split(","))[1].labels),
        }
        report(arguments.name, "What a router keeps of two models' gain", rows, where, arguments.results)
        if arguments.plot is not None:
            plot(rows, arguments.plot)


if __name__ == "__main__":
    main()
