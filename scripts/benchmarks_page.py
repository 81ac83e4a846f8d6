"""The page of all results: the verdicts first, then what was not reached, then a table for each result file."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

from benchmark_verdicts import VERDICTS, Results, Verdict

INTRODUCTION = """# Benchmarks

Generated from `benchmarks/results/*.json` (`make docs`); `make bench` measures anew. Each script checks that the
answers are right before it reports a speed, and runs its rival in the same run. Machines with few shared cores are
noisy: trust the ratios more than the absolute figures.

## Verdicts

"""

NOT_REACHED = """
## Not reached, and why

- **The axon at one connection** has 17 to 23 times the stock axon's throughput from run to run (goal 20). A request
  costs the server about 110 µs: 31 of them verify the signature, 12 parse headers and body, the rest is the HTTP
  parser, the event loop and the kernel. Collecting garbage less often changed nothing.
- **A progressive JPEG** gains 2 times where a baseline one gains 5: every scan must be read whatever the scale.
- **The forward on an H200** against timm compiled: 128 images of a ViT-B 1.51 and 2.22 times in bfloat16 and float8
  (goals 1.60 and 2.3), of a ViT-L 1.41 and 2.16 (1.50 and 2.2); one image takes 0.59 of the time for a ViT-S and 0.68
  for a ViT-L in bfloat16 (0.55 and 0.60). [kernels.md](kernels.md) has the reasons.
- **The attention** takes 2.3 times what moving its data takes (goal 1.8).
- **LayerNorm alone** is no faster than torch.compile's: 0.9 to 1.2 times in bfloat16, 0.7 to 1.2 in float8, which
  torch.compile does not write. One kernel serves all batches, so that no answer depends on the batch.
- **The fused heads** that pool a mean beat eager PyTorch 4.0 to 7.1 times (goal 5) and torch.compile 1.0 to 3.4 times
  (goal 1.5); those that weigh patches, 2.4 to 4.4 and 1.3 to 2.4 times. Below 32 images each is one launch long.
- **From JPEG to probability** the H100's machine reaches 3,000 images a second with two decode threads only. Python's
  lock is the limit: more threads wait for each other, and a core of that machine runs Python 2.8 times slower than
  the EPYC. Decoding by Pillow alone it reaches 1,921; simplejpeg brings 3,340, uvloop 3,519.
- **On the CPU** OpenVINO is about as quick as ours in float32 and mostly quicker in int8; it serves where its
  extra is installed ([machines.md](machines.md)).
- **The prediction log** costs one to two hundredths of a flood's throughput (goal: one). A flood longer than 2 s is
  logged in samples; its first two seconds are logged in full and cost about a tenth.
- **A swap on two cores** raises the p99 beyond twice in some runs (goal 2): Python's lock, and the new model's passes
  on the cores that serve. Preparing a ViT-L took two minutes on the H100, because serving never paused.
- **A ViT-L's start** misses 15 s. Importing torch and timm takes most of it there; from then to ready it is 7 s.
- **Training every weight against timm's own loop** (goal 1.2) is 1.01 to 1.08 times as fast. Either loop keeps the GPU
  busy, and its work is the same 67 ms a step: 33 of products, 13 of element-by-element work, 5 of attention. Clipping
  takes half as long with ours; copies and the optimiser take that back.
- **LoRA's single windows** lie further apart than the median says, from 1.0 to 3.3 times timm's: other programs worked
  on other cores of the same machine.
- **Two GPUs** are 1.75 times one (goal 1.8), blocks not compiled, and busy for 89 % of the time, where one alone is for
  100 %: each loses a little to the other's pace. Before decoding moved to processes they were 1.2 to 1.6 times one.
- **A burst against Ray Serve** (goal: 1.3 times as many in time) is 1.15 times the best tuning of `@serve.batch`, one
  whose queue was bounded by hand for this model and these deadlines: it is near the capacity already.
- **Mining** did not beat plain uncertainty by more than noise. From 80 labels on it did not beat random picks by more
  than noise either, and few labels did little for a small head on frozen embeddings (0.853 before, 0.842 to 0.855
  after).
"""


def render_benchmarks(folder: Path) -> str:
    """The page of a folder of result files."""
    results = Results(folder)
    verdicts = "".join(_verdict(verdict, results) for verdict in VERDICTS)
    return INTRODUCTION + verdicts + NOT_REACHED + "".join(_section(*item) for item in results.files.items())


def _verdict(verdict: Verdict, results: Results) -> str:
    by_machine: dict[str, list[str]] = {}
    for name in verdict.sections:
        heading = _heading(name, results.files[name])
        by_machine.setdefault(results.machine(name), []).append(f"[{name}](#{heading_anchor(heading)})")
    sources = "; ".join(f"{machine}: {', '.join(links)}" for machine, links in by_machine.items())
    text = textwrap.fill(
        f"- **{verdict.question}** {verdict.answer(results)}",
        width=110,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{text}\n  *{sources}*\n"


def _heading(name: str, result: dict[str, Any]) -> str:
    return f"{name}: {result['benchmark']}"


def heading_anchor(heading: str) -> str:
    """The name that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _section(name: str, result: dict[str, Any]) -> str:
    columns = list(result["rows"][0])
    machine = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    lines = [f"\n## {_heading(name, result)}\n", f"`benchmarks/{name.partition('-')[0]}.py` on {machine}\n"]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row[column]) for column in columns) + " |" for row in result["rows"]]
    return "\n".join(lines) + "\n"


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
