"""What an operator decides by the benchmarks: the words are written here, each figure comes from a result file."""

from __future__ import annotations

import json
import statistics
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
        """The row whose `measure`, `what` or `loop` starts with these words."""
        for row in self.files[name]["rows"]:
            if str(row.get("measure") or row.get("what") or row.get("loop")).startswith(words):
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
        f"takes {bundled:.0f} ms with the former bundled model, {small:.0f} ms with a ViT-S, {base:.0f} ms with a "
        f"ViT-B. The whole miner with that model holds {results.row('memory')['resident MiB']:.0f} MiB of memory. "
        f"The one that is bundled now takes about three times as long; it was not measured here."
    )


def _fleet(results: Results) -> str:
    first, *_, last = results.rows("fleet")
    keeper, alone = last["MiB of the fleet"], first["MiB in all"] - first["MiB of the fleet"]
    return (
        f"The first one takes {alone:.0f} MiB with the bundled model on a CPU, each further one "
        f"{last['MiB each further']:.0f} MiB, and the process that keeps them {keeper:.0f} MiB. On two cores one is "
        f"ready after {first['all serve after s']:.0f} s, and {last['miners']} are after "
        f"{last['all serve after s']:.0f} s. Most of that memory is torch, once for each process."
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
        f"The model is the limit, not the network: alone the axon answers {axon:,.0f} requests a second, while a "
        f"model as the former bundled one computes {bundled:.0f} images a second on the same two cores. With an H100 a "
        f"ViT-B answers {chip:,.0f} a second from JPEG to probability; Python on that machine's processor is the limit "
        f"there."
    )


def _precision(results: Results) -> str:
    base, bf16, int8 = (_on_cpu(results, "base", 8, precision, "ms") for precision in ("float32", "bf16", "int8"))
    flips, more_flips = (_on_cpu(results, "bundled", 8, precision, "flips") for precision in ("bf16", "int8"))
    pictures = _on_cpu(results, "bundled", 8, "int8", "pictures")
    float8 = _on_gpu(results, "base", 128, "bf16") / _on_gpu(results, "base", 128, "fp8")
    return (
        f"At a validator's pace leave `--precision default`. On CPUs bfloat16 makes a ViT-B {base / bf16:.1f} times as "
        f"fast and changes {flips:.0f} of the former bundled model's {pictures:,.0f} decisions, int8 {base / int8:.1f} "
        f"times and {more_flips:.0f}. On a GPU float8 is {float8:.1f} times as fast as bfloat16. `--precision auto` "
        f"takes them only if your model passes its test."
    )


_SERVING = ("retrain_serving", "retrain_serving-h200")
_RATIO_CPU, _RATIO_GPU = "ratio (goal <= 2)", "ratio (goal <= 1.3)"


def _retraining(results: Results) -> str:
    alone = results.row("partition-h100", sharing="serving alone", batch=1)["gpu_p99_ms"]
    ways = ("a stream each", "partition")
    plain, parted = (results.row("partition-h100", sharing=way, training="graph", batch=1) for way in ways)
    cpu, gpu = (results.rows(name)[0] for name in _SERVING)
    return (
        f"Training on the GPU that serves makes one picture's p99 {plain['gpu_p99_ms'] / alone:.1f} times as long, "
        f"and training keeps {plain['of_steps_alone']:.0%} of its speed. With the chip divided it is "
        f"{parted['gpu_p99_ms'] / alone:.1f} times, and training keeps {parted['of_steps_alone']:.0%}. Either is "
        f"milliseconds of nine seconds. A whole miner, its processes and its training: with MPS and a quarter of the "
        f"multiprocessors for the training, p99 at {gpu['requests a second']:.0f} requests a second goes from "
        f"{gpu['p99 ms alone']:.1f} to {gpu['p99 ms beside']:.1f} ms, {gpu[_RATIO_GPU]:.2f} times (goal 1.3; "
        f"{gpu['lowest']:.2f} to {gpu['highest']:.2f} in {gpu['pairs of windows']} pairs of windows). On a CPU the "
        f"training steps back: {cpu[_RATIO_CPU]:.2f} times at {cpu['requests a second']:.1f} a second (goal 2)."
    )


_AXONS = ("ours", "stock")


_REHEARSED = ("retraining-15cores", "retraining-2cores")


def _rehearsed(results: Results) -> str:
    rows = [row for name in _REHEARSED for row in results.rows(name) if row["seed"] != "mean"]
    gains = [row["gain"] for row in rows]
    lost = sum(row["lost (goal 0)"] for row in rows)
    return (
        f"In {len(rows)} rehearsals, a seed each, a night that the model could not know paid "
        f"{statistics.mean(gains):.2f} ± {statistics.stdev(gains):.2f} more reward with it than without "
        f"({min(gains):.2f} to {max(gains):.2f}); {lost} challenges were lost. That is a made-up rule, easy to learn: "
        f"it shows that the loop closes, not what real streets will bring."
    )


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
        f"Only after measuring with your own model. Three flips changed the former bundled model's accuracy on "
        f"augmented challenges by {100 * (flips - plain):+.1f} points, a central crop by {100 * (crop - plain):+.1f}."
    )


def _router(results: Results) -> str:
    first, both = (results.row("router", rule=rule) for rule in ("first alone", "always both"))
    unsure, far = (results.row("router", rule=rule, share="30%", together="mean") for rule in ("unsure", "far"))
    return (
        f"Where the second model is slow on your machine and the two are better together. On drawn challenges both "
        f"gained {100 * (both['accuracy'] - first['accuracy']):.1f} points of accuracy over the bundled model; asking "
        f"where that one was unsure kept {100 * unsure['kept']:.0f} % of the gain while the second model ran on "
        f"{100 * unsure['cost']:.0f} % of the pictures, asking about far pictures {100 * far['kept']:.0f} %."
    )


def _mining(results: Results) -> str:
    few, *_, many = results.rows("learning_curve-h200")
    frozen = [100 * row["mined - random"] for row in results.rows("mining_pays")]
    gains = [f"{_points(row, 'mined')} points" for row in (few, many)]
    return (
        f"Only while labels are few. With every weight fine-tuned, {few['k']} mined pictures gave {gains[0]} more "
        f"accuracy than random ones (mean and deviation of five seeds, drawn scenes), {many['k']} gave {gains[1]}, "
        f"which may be chance. The most uncertain pictures did as well: {_points(few, 'uncertain')} and "
        f"{_points(many, 'uncertain')}. With a frozen network the mined ones gave {min(frozen):.1f} to "
        f"{max(frozen):.1f} points."
    )


def _points(row: Row, way: str) -> str:
    return f"{100 * row[f'{way} - random']:.1f} ± {100 * row[f'spread of {way}']:.1f}"


_SPEED, _EARLIER = "training-speed-h200", ("training-speed-earlier-h200", "training-speed-earlier-processor-h200")
_FULL, _FULL_KERNELS = "training-speed-full-h200", "training-kernels-full-h200"
_FED = ("training-busy-h200", "training-kernels-h200", "training-pipeline-h200")
_TWO = "two_gpus-lora-h200"
_TIMES, _APART, _BUSY = "times timm's", "distance of its loss from one GPU's", "GPU busy (goal 0.9)"


def _training(results: Results) -> str:
    first, later = _of_lora(results)
    spared = results.row("training-steps-h200", training="lora, checkpointing")
    minutes = [6 * 35_000 / row["images/s"] / 60 for row in (later, spared)]
    peak = results.row(_EARLIER[0], training="lora", loop="ours")["peak GiB"]
    return (
        f"Six epochs of LoRA of a ViT-L over 35,000 pictures take {minutes[0]:.0f} minutes on an H200 (goal: under two "
        f"hours) and {peak:.1f} GiB at batch 64, without checkpointing, with `run.compile` and `run.graphs`. That is "
        f"extrapolated from seconds of training, without start and validation: {later['images/s']:,.0f} pictures a "
        f"second from memory, {first['images/s']:,.0f} in the first epoch, which decodes. The recipe `lora` as it "
        f"comes, with checkpointing at batch 32, takes about {minutes[1]:.0f} minutes and "
        f"{spared['peak GiB']:.1f} GiB by single steps of timm's."
    )


def _of_lora(results: Results) -> list[Row]:
    """In the first epoch, and in later ones."""
    return [results.row(_SPEED, training="lora", epoch=epoch) for epoch in ("first", "later")]


def _beside_timm(results: Results) -> str:
    first, later = _of_lora(results)
    head = results.row(_EARLIER[0], loop="ours", training="head")
    full, more = (results.row(_FULL, training="full", epoch=epoch) for epoch in ("first", "later"))
    ours, timms = (results.row(_FULL_KERNELS, kernels="all")[whose] for whose in ("ours ms", "timm's ms"))
    return (
        f"LoRA of a ViT-L is: {later[_TIMES]:.2f} times as fast in later epochs, whose pictures are in memory "
        f"({later['lowest']:.2f} to {later['highest']:.2f} in {later['pairs']} pairs of windows), {first[_TIMES]:.2f} "
        f"in the first, which decodes ({first['lowest']:.2f} to {first['highest']:.2f} in {first['pairs']}); the goal "
        f"is 1.2. The two took turns in the same minutes, timm's with a worker for each of 13 cores. Training every "
        f"weight hardly is: {more[_TIMES]:.2f} times in later epochs, {full[_TIMES]:.2f} in the first. Either loop "
        f"keeps the GPU busy, and a step is {ours:.1f} ms of work for it with ours, {timms:.1f} with timm's: the same "
        f"products, the same attention. The head alone was {head[_TIMES]:.1f} times, since it learns from kept "
        f"features."
    )


def _feeding(results: Results) -> str:
    first, later = (results.row("training-busy-h200", epoch=epoch)[_BUSY] for epoch in ("first", "later"))
    augmented = results.starting("training-pipeline-h200", "augmenting to 224, 50%")["images/s"]
    total = results.row("training-kernels-h200", kernels="all")["ours ms"]
    return (
        f"Yes: in LoRA of a ViT-L it was busy for {later:.0%} of the time in later epochs and for {first:.0%} in the "
        f"first, which decodes (goal: 90%), over a minute and over 8 s. A step is {total:.0f} ms of "
        f"work for the GPU, so that {64e3 / total:,.0f} pictures a second are all that it can do. Augmenting by itself "
        f"does {augmented:,.0f} (goal: 20,000)."
    )


def _two_gpus(results: Results) -> str:
    alone, two, _, other = results.rows(_TWO)
    return (
        f"Yes: LoRA of a ViT-L, blocks not compiled, ran {two['times one (goal 1.8)']:.2f} times as fast on two "
        f"({two['images/s']:.0f} against {alone['images/s']:.0f} pictures a second; the goal is 1.8), and each was "
        f"busy for {two['GPU busy']:.0%} of the time. The loss of two stays within {two[_APART]:.3f} of one's on "
        f"average, which is as far as another seed moves it ({other[_APART]:.3f})."
    )


def _backend(results: Results) -> str:
    added = results.row("remote", who="added")["p50_ms"]
    rows = results.rows("remote-troubles")
    total, missed = (sum(row[key] for row in rows) for key in ("requests", "missed"))
    slowest, back = (max(row[key] for row in rows) for key in ("p99_ms", "back_after_s"))
    return (
        f"The embedded model of the same version answers. A backend that stalled for 30 s, was dead, late, or gave "
        f"NaN or another model's answers cost {missed} of {total:,} requests; the p99 meanwhile was at most "
        f"{slowest:.0f} ms, and it answered again {back:.1f} s after it could at the latest. The seam itself adds "
        f"{added:.2f} ms to a request. The backend was a script in the same process and the embedded model one that "
        f"sleeps for as long as a small one computes, so these are the seam's figures."
    )


def _serverless(results: Results) -> str:
    rows = results.rows("serverless")
    total, missed = (sum(row[key] for row in rows) for key in ("requests", "missed"))
    cold, gone = (
        results.row("serverless", phase=name) for name in ("cold at the start", "the container is taken away")
    )
    slowest = max(row["p99_ms"] for row in rows)
    return (
        f"Of {total:,} requests {missed} were missed, and the p99 was at most {slowest:.0f} ms. The embedded model "
        f"answered for {cold['first_by_modal_s']:.0f} s while the first container started, and for "
        f"{gone['first_by_modal_s']:.0f} s after it was taken away. Modal was a script that takes the published times, "
        f"so this says nothing of Modal's own."
    )


def _ray(results: Results) -> str:
    middle = results.starting("ray_serve", "added by Ray and the bridge, p50")["value"]
    back = results.starting("ray_serve", "a killed replica")["value"]
    rows = results.rows("ray_serve-burst")
    ours, times = rows[0], rows[-1]["in time"]
    best = max(rows[1:-1], key=lambda row: row["in time"])
    return (
        f"The way through the bridge to a replica on the same machine adds {middle:.1f} ms to a forward pass (goal: "
        f"3), on two cores that others kept busy. In a burst of four times the capacity our replicas answered "
        f"{ours['in time']:,} of {ours['sent']:,} requests in time: {times:.2f} times as many as the best of "
        f"{len(rows) - 2} tunings of `@serve.batch` (goal: 1.3). That had its queue bounded by hand to what this "
        f"model can answer in time, and answered {best['share of capacity']:.0%} of what it can compute; the tunings "
        f"lie between {min(row['in time'] for row in rows[1:-1])} and {best['in time']}. Where the only replica is "
        f"killed, another one answers after {back:.0f} s; until then the embedded model does."
    )


def _on_cpu(results: Results, model: str, batch: int, precision: str, key: str) -> float:
    return float(results.row("cpu", model=model, batch=batch, engine="ours", precision=precision)[key])


def _on_gpu(results: Results, model: str, batch: int, forward: str) -> float:
    """Milliseconds of a batch."""
    return float(results.row("forward-h100", model=model, batch=batch, forward=forward)["ms"])


VERDICTS = (
    Verdict("Which machine do I need?", ("cpu", "memory"), _which_machine),
    Verdict("How many miners does a machine hold?", ("fleet",), _fleet),
    Verdict("CPU or GPU?", ("cpu", "forward-h100"), _cpu_or_gpu),
    Verdict("How many requests can it answer?", ("axon", "runner", "pipeline-h100"), _how_many),
    Verdict("Which precision?", ("cpu", "forward-h100"), _precision),
    Verdict("How long does a training take?", (_SPEED, _EARLIER[0], "training-steps-h200"), _training),
    Verdict("Is training faster than timm's own?", (_SPEED, _FULL, _FULL_KERNELS, _EARLIER[0]), _beside_timm),
    Verdict("Is the GPU kept busy in training?", _FED, _feeding),
    Verdict("Do two GPUs pay in training?", (_TWO,), _two_gpus),
    Verdict("What does retraining beside serving cost?", ("partition-h100", *_SERVING), _retraining),
    Verdict("Is retraining by night worth it?", _REHEARSED, _rehearsed),
    Verdict("What does our axon gain over the stock one?", ("axon",), _stock_axon),
    Verdict("How often is the monitor right?", ("monitor-scenarios", "monitor-healthy"), _monitor),
    Verdict("What do monitor and log cost?", ("monitoring_cost", "prediction_log"), _watching),
    Verdict("Are large photos answered in time?", ("decode",), _photos),
    Verdict("What does a model swap cost?", ("swap", "swap-first", "swap_gpu-h100"), _swap),
    Verdict("How long is a restart?", ("startup-h100", "startup-earlier-h100"), _start),
    Verdict("Should I switch on test-time views?", ("views",), _views),
    Verdict("Does a router between two models pay?", ("router",), _router),
    Verdict("What if a shared backend fails?", ("remote", "remote-troubles"), _backend),
    Verdict("What if no container is warm at Modal?", ("serverless",), _serverless),
    Verdict("What does Ray Serve cost, and our batching gain?", ("ray_serve", "ray_serve-burst"), _ray),
    Verdict("Is labelling mined pictures worth it?", ("learning_curve-h200", "mining_pays"), _mining),
)
