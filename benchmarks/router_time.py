"""What a router costs an answer on this machine: by the first model alone, by a router, by both models always.

One caller, one challenge at a time, through the whole engine; and the rules themselves, on one batch.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from harness import RESULTS, Row, machine, median_ms, report

from streetvision.engine.engine import Engine
from streetvision.engine.ensemble import EnsembleRunner
from streetvision.engine.router import Router
from streetvision.engine.types import Prediction, Runner, RunnerOutput
from streetvision.models.embedding_distance import known_embeddings
from streetvision.models.ensemble import EnsembleConfig, Member
from streetvision.models.router import RouterConfig
from streetvision.runner.torch_runner import TorchRunner
from streetvision.scenes.challenges import challenge

SHARE = 0.3
FIRST_SEED = 45_000_000
MEMBERS = (Member("0" * 64, folder="first"), Member("1" * 64, folder="second"))


async def answered(runner: Runner, jpegs: Sequence[bytes]) -> tuple[list[Prediction], list[float]]:
    """Predictions, and the milliseconds of each."""
    engine, found, spent = Engine(runner), [], []
    await engine.start()
    for jpeg in jpegs:
        began = time.perf_counter()
        found.append(await engine.predict(jpeg, deadline=time.monotonic() + 9, priority=0.0))
        spent.append((time.perf_counter() - began) * 1e3)
    await engine.close()
    return found, spent


async def rows_of(first: Path, second: Path, jpegs: Sequence[bytes], device: str) -> list[Row]:
    """One row for each way of answering; the router's band asks for SHARE of these very pictures."""

    def opened() -> list[TorchRunner]:
        return [TorchRunner(folder, device=device, buckets=(1, 8), compile=False) for folder in (first, second)]

    alone, spent = await answered(opened()[0], jpegs)
    router = RouterConfig(band=float(np.quantile([abs(one.logit) for one in alone], SHARE)))
    routed = EnsembleRunner(opened(), EnsembleConfig("router", "1.0.0", MEMBERS, router=router), Router(router))
    both = EnsembleRunner(opened(), EnsembleConfig("both", "1.0.0", MEMBERS))
    rows = [_row("first alone", alone, spent)]
    rows += [_row(what, *await answered(one, jpegs)) for what, one in (("router", routed), ("always both", both))]
    return rows


def _row(what: str, found: list[Prediction], spent: list[float]) -> Row:
    asked = float(np.mean([one.views > 1 for one in found]))
    return {"what": what, "asked": asked, "mean ms": float(np.mean(spent)), "median ms": float(np.median(spent))}


def _rule_time(dim: int, batch: int) -> Row:
    """Both rules on the runner's thread."""
    rng = np.random.default_rng(0)
    known = known_embeddings(rng.normal(size=(200, dim)))
    router = Router(RouterConfig(band=1.0, distance=1.0, sha256="0" * 64), known)
    output = RunnerOutput(np.zeros(batch, np.float32), rng.normal(size=(batch, dim)).astype(np.float32))
    took = median_ms(lambda: router.asks(output), 50)
    return {"numbers of an embedding": dim, "batch": batch, "median ms": took}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, help="folder of the first model")
    parser.add_argument("second", type=Path, help="folder of the second one")
    parser.add_argument("--count", type=int, default=100, help="challenges to answer; 0: only the rules")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the two results")
    arguments = parser.parse_args()
    where = machine()
    rules = [_rule_time(dim, batch) for dim in (768, 2048) for batch in (1, 32)]
    report("router_time-rules", "What a router's rules take for a batch", rules, where, arguments.results)
    if not arguments.count:
        return
    jpegs = [challenge(FIRST_SEED + seed, native=False).jpeg for seed in range(arguments.count)]
    rows = asyncio.run(rows_of(arguments.first, arguments.second, jpegs, arguments.device))
    report("router_time", "What a router costs an answer", rows, where, arguments.results)


if __name__ == "__main__":
    main()
