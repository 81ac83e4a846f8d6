"""What an operator decides by the benchmarks: the words are written here, each figure comes from a result file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


class Results:
    """The result files of a folder by their names."""

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob("*.json"))
        self.files: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in paths}

    def rows(self, name: str, **wanted: object) -> list[Row]:
        """A file's rows that hold these values; KeyError when there is none."""
        found = [row for row in self.files[name]["rows"] if all(row[key] == value for key, value in wanted.items())]
        if not found:
            raise KeyError(f"{name} has no row with {wanted}")
        return found

    def row(self, name: str, **wanted: object) -> Row:
        """The first of them."""
        return self.rows(name, **wanted)[0]

    def starting(self, name: str, words: str) -> Row:
        """The row whose `measure` or `what` starts with these words."""
        for row in self.files[name]["rows"]:
            if str(row.get("measure", row.get("what"))).startswith(words):
                return dict(row)
        raise KeyError(f"{name} measures no {words!r}")

    def machine(self, name: str) -> str:
        """Where it was measured, in words."""
        machine = self.files[name]["machine"]
        if "gpu" in machine:
            return f"{machine['gpu'].split(' 80GB')[0]}, {machine['cpus']} host cores"
        return f"{machine['cpu']}, {machine['cpus']} cores"


@dataclass(frozen=True)
class Verdict:
    """One answer; `sections` are the result files that it rests on."""

    question: str
    sections: tuple[str, ...]
    answer: Callable[[Results], str]


def _which_machine(results: Results) -> str:
    bundled, small, base = (_on_cpu(results, model, 1, "float32", "ms") for model in ("bundled", "small", "base"))
    return (
        f"Two CPU cores are enough at a validator's pace: a few requests a minute, nine seconds for each. One picture "
        f"takes {bundled:.0f} ms with the bundled model, {small:.0f} ms with a ViT-S, {base:.0f} ms with a ViT-B. The "
        f"whole miner with the bundled model holds {results.row('memory')['resident MiB']:.0f} MiB of memory."
    )


def _cpu_or_gpu(results: Results) -> str:
    on_cpu = _on_cpu(results, "base", 1, "float32", "ms")
    base, large = (_on_gpu(results, model, 1, "bf16") for model in ("base", "large"))
    return (
        f"Take a GPU for a ViT-L, for ensembles with many views, or to train. A ViT-B takes {base:.2f} ms there, not "
        f"{on_cpu:.0f}, a ViT-L {large:.2f} ms. A faster answer is not paid better; a more accurate one is."
    )


def _how_many(results: Results) -> str:
    axon = results.starting("axon", "requests/s, 32 connections")["ours"]
    bundled = max(row["images_per_s"] for row in results.rows("runner", model="tiny", mode="fast"))
    chip = max(row["images/s (goal 3,000)"] for row in results.rows("pipeline-h100"))
    return (
        f"The model is the limit, not the network: alone the axon answers {axon:,.0f} requests a second, while the "
        f"bundled model computes {bundled:.0f} images a second on the same two cores. With an H100 a ViT-B answers "
        f"{chip:,.0f} a second from JPEG to probability; Python on that machine's processor is the limit there."
    )


def _precision(results: Results) -> str:
    base, bf16, int8 = (_on_cpu(results, "base", 8, precision, "ms") for precision in ("float32", "bf16", "int8"))
    flips, more_flips = (_on_cpu(results, "bundled", 8, precision, "flips") for precision in ("bf16", "int8"))
    pictures = _on_cpu(results, "bundled", 8, "int8", "pictures")
    float8 = _on_gpu(results, "base", 128, "bf16") / _on_gpu(results, "base", 128, "fp8")
    return (
        f"At a validator's pace leave `--precision default`. On CPUs bfloat16 makes a ViT-B {base / bf16:.1f} times as "
        f"fast and changes {flips:.0f} of the bundled model's {pictures:,.0f} decisions, int8 {base / int8:.1f} times "
        f"and {more_flips:.0f}. On a GPU float8 is {float8:.1f} times as fast as bfloat16. `--precision auto` takes "
        f"them only if your model passes its test."
    )


def _retraining(results: Results) -> str:
    alone = results.row("partition-h100", sharing="serving alone", batch=1)["gpu_p99_ms"]
    ways = ("a stream each", "partition")
    plain, parted = (results.row("partition-h100", sharing=way, training="graph", batch=1) for way in ways)
    return (
        f"Training on the GPU that serves makes one picture's p99 {plain['gpu_p99_ms'] / alone:.1f} times as long, "
        f"and training keeps {plain['of_steps_alone']:.0%} of its speed. With the chip divided it is "
        f"{parted['gpu_p99_ms'] / alone:.1f} times, and training keeps {parted['of_steps_alone']:.0%}. Either is "
        f"milliseconds of nine seconds. The miner itself trains nothing beside serving today."
    )


_AXONS = ("ours", "stock")


def _stock_axon(results: Results) -> str:
    one, many = (results.starting("axon", f"requests/s, {count} connection")["ratio"] for count in (1, 32))
    # of such a row the first column is the figure under junk, the second the one before
    ours, stock = (results.starting("axon", f"{axon}: validator's p50 ms, under junk")["ours"] for axon in _AXONS)
    return (
        f"It answers {one:.0f} times as many requests at one connection and {many:.0f} times at 32. More important: "
        f"under a flood of junk a validator waits {ours:.2f} ms for it, {stock:.0f} ms for the stock axon (medians)."
    )


def _monitor(results: Results) -> str:
    troubles, healthy = results.rows("monitor-scenarios"), results.rows("monitor-healthy")
    found, played = (sum(int(row["found_of"].split("/")[side]) for row in troubles) for side in (0, 1))
    slowest = max(row["minutes_at_most"] for row in troubles)
    alarms, days = (sum(row[key] for row in healthy) for key in ("findings", "healthy_days"))
    return (
        f"On a simulated subnet it found {found} of {played} troubles ({len(troubles)} kinds) with the right cause, "
        f"the slowest after {slowest:.0f} minutes, and raised {alarms} false alarms in {days} healthy days. How "
        f"often it is right on a real subnet was not measured."
    )


def _watching(results: Results) -> str:
    watched = 1 - results.starting("monitoring_cost", "requests/s, 32 connections")["result"]
    logged = 1 - results.starting("prediction_log", "requests/s, sustained, 32 connections")["result"]
    return (
        f"Leave both on. In a flood over 32 connections the monitor takes {watched:.1%} of the axon's throughput, the "
        f"prediction log {logged:.1%}; at a validator's pace there is nothing to measure."
    )


def _photos(results: Results) -> str:
    plain, scans = (results.row("decode", image=f"synthetic 6000x4000{kind}") for kind in ("", ", progressive"))
    return (
        f"Yes. On a busy machine a photo of 24 megapixels was decoded in {plain['ours_ms']:.0f} ms (Pillow alone: "
        f"{plain['plain_ms']:,.0f}), a progressive one in {scans['ours_ms']:.0f} ({scans['plain_ms']:,.0f})."
    )


def _swap(results: Results) -> str:
    swaps = [row for name in ("swap", "swap-first") for row in results.rows(name)]
    longest = max(row["seconds"] for row in swaps)
    lost, count = (sum(row[key] for row in swaps) for key in ("failures (goal 0)", "swaps"))
    ratios = [row["ratio (goal <= 2)"] for row in swaps]
    halt = max(row["at the switch (goal < 50)"] for row in results.rows("swap_gpu-h100"))
    return (
        f"{lost} requests failed in {count} swaps under half load. For about {longest:.0f} seconds the p99 is "
        f"{min(ratios):.1f} to {max(ratios):.1f} times as long. On a fully loaded H100 the switch to another "
        f"ViT-L halts serving for at most {halt:.0f} ms."
    )


def _start(results: Results) -> str:
    starts = [row for name in ("startup-h100", "startup-earlier-h100") for row in results.rows(name)]
    ready, imported = ([row[key] for row in starts] for key in ("ready s", "imported s"))
    return (
        f"{min(ready):.0f} to {max(ready):.0f} seconds with a ViT-L on a GPU, {min(imported):.0f} to "
        f"{max(imported):.0f} of them for importing torch and timm. Requests meanwhile get no answer."
    )


def _views(results: Results) -> str:
    plain, flips, crop = (
        results.row("views", views=views, challenges="augmented, levels 0-3")["accuracy"]
        for views in ("plain", "plain hflip vflip rot180", "plain crop:0.8")
    )
    return (
        f"Only after measuring with your own model. Three flips changed the bundled model's accuracy on augmented "
        f"challenges by {100 * (flips - plain):+.1f} points, a central crop by {100 * (crop - plain):+.1f}."
    )


def _mining(results: Results) -> str:
    rows = results.rows("mining_pays")
    gains = [100 * row["mined - random"] for row in rows]
    return (
        f"A little: after {rows[0]['k']} to {rows[-1]['k']} labels, mined pictures gave {min(gains):.1f} to "
        f"{max(gains):.1f} points more accuracy than random ones (drawn scenes, not photos). Picking by uncertainty "
        f"alone did about as well."
    )


def _training(results: Results) -> str:
    plain, spared = (results.row("training-steps-h200", training=name) for name in ("lora", "lora, checkpointing"))
    slowest, fastest = (6 * 35_000 / row["images/s"] / 60 for row in (spared, plain))
    return (
        f"Six epochs of LoRA of a ViT-L over 35,000 pictures take {fastest:.0f} minutes on an H200, and {slowest:.0f} "
        f"with checkpointing, which needs {spared['peak GiB']:.0f} GiB; extrapolated from single steps. The processor "
        f"there decodes {results.starting('training-pipeline-h200', 'loading to a canvas of 448, 12')['images/s']:.0f} "
        f"pictures a second, the augmentation does {_augmented(results):,.0f}."
    )


def _augmented(results: Results) -> float:
    return float(results.starting("training-pipeline-h200", "augmenting to 224, 50%")["images/s"])


def _on_cpu(results: Results, model: str, batch: int, precision: str, key: str) -> float:
    return float(results.row("cpu", model=model, batch=batch, engine="ours", precision=precision)[key])


def _on_gpu(results: Results, model: str, batch: int, forward: str) -> float:
    """Milliseconds of a batch."""
    return float(results.row("forward-h100", model=model, batch=batch, forward=forward)["ms"])


VERDICTS = (
    Verdict("Which machine do I need?", ("cpu", "memory"), _which_machine),
    Verdict("CPU or GPU?", ("cpu", "forward-h100"), _cpu_or_gpu),
    Verdict("How many requests can it answer?", ("axon", "runner", "pipeline-h100"), _how_many),
    Verdict("Which precision?", ("cpu", "forward-h100"), _precision),
    Verdict("How long does a training take?", ("training-steps-h200", "training-pipeline-h200"), _training),
    Verdict("What does retraining beside serving cost?", ("partition-h100",), _retraining),
    Verdict("What does our axon gain over the stock one?", ("axon",), _stock_axon),
    Verdict("How often is the monitor right?", ("monitor-scenarios", "monitor-healthy"), _monitor),
    Verdict("What do monitor and log cost?", ("monitoring_cost", "prediction_log"), _watching),
    Verdict("Are large photos answered in time?", ("decode",), _photos),
    Verdict("What does a model swap cost?", ("swap", "swap-first", "swap_gpu-h100"), _swap),
    Verdict("How long is a restart?", ("startup-h100", "startup-earlier-h100"), _start),
    Verdict("Should I switch on test-time views?", ("views",), _views),
    Verdict("Is labelling mined pictures worth it?", ("mining_pays",), _mining),
)
