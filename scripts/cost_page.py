"""The page on cost: the same prices, speeds and bills as `streetvision cost`, and what was hoped for beside what is."""

from __future__ import annotations

from benchmark_verdicts import Results

from streetvision.cost.bills import BUSY, Question
from streetvision.cost.estimate import Estimate, estimate
from streetvision.cost.prices import ControlPlane, Machine, Prices, SecondPrice, read_prices
from streetvision.cost.report_text import dollars
from streetvision.cost.speeds import WORK, Speeds, read_speeds
from streetvision.cost.traffic import steady

HOPED = 500.0
"""US dollars a month."""
TEXT = """# What it costs

A month's bill of each way to run one miner or many, before you rent anything. All figures on this page come from
the tables that the command uses (`make docs`); US dollars before taxes, 730 hours a month.

```console
$ streetvision cost
$ streetvision cost --hotkeys 6 --card l4 --model base
$ streetvision cost --per_second 0.05 --hotkeys 6 --report cost.html
$ streetvision cost --json
```

**At a validator's pace the cheapest is one CPU machine.** A card pays for a model that is too large for a CPU, for
many views, or to train; not to answer sooner, which earns nothing.

## What is asked for

- The **traffic** is that of your own prediction log, hour by hour, with its busiest ten seconds; `--since 1w` counts
  a part of it. Each miner of `--hotkeys` is taken to get as many. A flood that was logged in samples counts too low.
  `--per_second` gives a rate in its place, also before there is a log.
- The **speed** is that of `--model` (`small`, `base`, `large`: the size of the vision transformer) on `--card`, by the
  table below. `--measured_on cpu`, or on the card that this machine has, takes your log's instead: the model's share
  of the time of each batch. The line `on this machine` shows it in any case.
- **Modal** has two rows: scaled to zero when idle, and with `--warm` containers kept. Miners stay on machines of your
  own, as validators need a fixed address, and each keeps its embedded model for the time while no container is warm.
- The table's columns are a quarter of the traffic, all, four and sixteen times as much. A dash means that a way
  cannot carry it: a miner has one address, so one machine must answer all of its requests.

## Prices

`streetvision cost --show_prices` prints them as a file. Write what differs for you, and give it with `--prices`; a key
that is not in your file keeps our price.

```toml
[machine.aws-g6]
hour = 0.55
seen = 2026-11-30
source = "my savings plan"
```

{prices}

Kubernetes is reckoned with a managed control plane. One that you run yourself costs no fee: give a section
`[control_plane.own]` with `hour = 0`; the cheapest counts.

Of Modal a container of {cores:g} cores and {memory:g} GiB is reckoned, that stays warm {idle:.0f} s after its
last request and starts in {start:.0f} s, both billed. Not in any bill: disks, traffic that leaves a cloud, load
balancers, taxes, your time.

## Speeds

Milliseconds of one picture of 224 pixels alone, and pictures a second when many come together. **Only figures in bold
were measured**; the others are scaled from the H100 by the card's peak of products or of memory bandwidth,
whichever is worse (a model on the CPU: by its work). Measure yours before you rely on one of those.

{speeds}

A rented vCPU is often slower than those two. One miner process is reckoned with {process:,.0f} requests a second,
measured on an H200's machine with 16 vCPUs, where Python is the limit; the cores that it takes ({vcpus:g}), the memory
of a miner without a model ({axon:g} GiB) and the link to Modal or a cluster ({link:,.0f} Mbit/s, {kb:.0f} KB a picture)
are assumed. {busy:.0%} of each of these is planned with.

## Examples

Six miners with a ViT-B, each asked three times a minute (0.05 a second), on an L4:

{slow}

Six miners with a ViT-B, each asked 20 times a second, on an H100:

{fast}

A container that sleeps is reckoned by the formula of independent requests: with `r` requests a second and `T` seconds
of staying warm, it is warm for `1 - exp(-r T)` of the time and starts `r exp(-r T)` times a second.

## What was hoped for, and what is reached

The early design hoped for these figures.

| hoped for | reached | how it was measured |
|---|---|---|
{hopes}
"""


def render_cost(results: Results) -> str:
    """The page, with figures of these result files."""
    prices, speeds = read_prices(), read_speeds()
    slow = estimate(Question(6, "l4", "base", 1), steady(0.05), speeds, prices, None)
    fast = estimate(Question(6, "h100", "base", 1), steady(20.0), speeds, prices, None)
    return TEXT.format(
        prices=_prices(prices),
        speeds=_speeds(speeds),
        slow=_bills(slow),
        fast=_bills(fast),
        hopes=_hopes(results, slow),
        cores=prices.modal.cores,
        memory=prices.modal.memory_gib,
        idle=prices.modal.idle_s,
        start=prices.modal.start_s,
        process=speeds.host.process_per_s,
        vcpus=speeds.host.process_vcpus,
        axon=speeds.host.axon_gib,
        link=speeds.host.link_mbit_s,
        kb=speeds.host.picture_kb,
        busy=BUSY,
    )


def _prices(prices: Prices) -> str:
    rows = [
        *(_price(one.title, f"{dollars(one.month)} a month", one) for one in prices.machine.values()),
        *(_price(one.title, f"${one.hour:.2f} an hour", one) for one in prices.control_plane.values()),
        *(_price(f"Modal, {name}", f"${one.second:.8f} a second", one) for name, one in prices.modal_second.items()),
    ]
    return "\n".join(["| what | price | seen on | source |", "|---|---|---|---|", *rows])


def _price(what: str, price: str, of: Machine | ControlPlane | SecondPrice) -> str:
    return f"| {what} | {price} | {of.seen} | {of.source} |"


def _speeds(speeds: Speeds) -> str:
    heads = [*(f"{model}, alone" for model in WORK), *(f"{model}, together" for model in WORK)]
    lines = ["| device | " + " | ".join(heads) + " |", "|" + "---|" * (1 + len(heads))]
    for name, device in speeds.device.items():
        found = [speeds.of(name, model) for model in WORK]
        alone = [_marked(f"{speed.one_s * 1e3:.3g}", speed.measured) for speed in found]
        together = [_marked(f"{speed.per_s:,.0f}", speed.measured) for speed in found]
        lines.append(f"| {device.title} | " + " | ".join([*alone, *together]) + " |")
    return "\n".join(lines)


def _marked(text: str, measured: bool) -> str:
    return f"**{text}**" if measured else text


def _bills(found: Estimate) -> str:
    lines = ["| way | " + " | ".join(f"x{factor:g}" for factor in found.by_factor) + " |"]
    lines.append("|" + "---|" * (1 + len(found.by_factor)))
    for place, way in enumerate(found.now):
        cells = [dollars(row[place].month) for row in found.by_factor.values()]
        lines.append(f"| {way.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _hopes(results: Results, slow: Estimate) -> str:
    cpu = {
        model: results.row("cpu", model=model, batch=1, engine="ours", precision="float32")
        for model in ("small", "base")
    }
    card = results.row("forward-h100", model="base", batch=1, forward="bf16")
    chip = max(row["images/s (goal 3,000)"] for row in results.rows("pipeline-h100"))
    memory = max(row["resident MiB"] for row in results.rows("memory"))
    small, base = (cpu[model]["images_per_s"] for model in ("small", "base"))
    rows = [
        (
            "under $500 a month",
            f"for six miners: {_affordable(slow)}",
            "the first example; an estimate from list prices, no bill",
        ),
        (
            "50 ms an image",
            f"a ViT-B takes {card['ms']:.2f} ms on a GPU; on two CPU cores a ViT-S {cpu['small']['ms']:.0f} ms, "
            f"a ViT-B {cpu['base']['ms']:.0f} ms",
            "`benchmarks/forward.py` on an H100, `benchmarks/cpu.py` on an AMD EPYC",
        ),
        (
            "20 images a second",
            f"{chip:,.0f} from JPEG to probability on a GPU's machine; on two CPU cores {small:.0f} with a ViT-S, "
            f"{base:.0f} with a ViT-B",
            "`benchmarks/pipeline.py` on an H100, `benchmarks/cpu.py`",
        ),
        (
            "under 16 GB",
            f"{memory:,.0f} MiB for the whole miner with the former bundled model, up to 3.6 GB with a ViT-L on a CPU; "
            "less than 4 GiB of a GPU's memory for batches up to 64",
            "`benchmarks/memory.py`; [machines.md](machines.md#memory)",
        ),
    ]
    return "\n".join(f"| {hoped} | {reached} | {how} |" for hoped, reached, how in rows)


def _affordable(found: Estimate) -> str:
    """Each way's bill, and whether it is below what was hoped for."""
    known = [(bill.title, bill.month) for bill in found.now if bill.month is not None]
    return "; ".join(f"{title} {dollars(month)} ({'yes' if month < HOPED else 'no'})" for title, month in known)
