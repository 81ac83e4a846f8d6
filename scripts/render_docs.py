"""Regenerate the texts that come from code: miner.env.example and settings, migrating and benchmarks in docs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streetvision.settings.loading import render_env_example, render_official_table, render_settings_table

ROOT = Path(__file__).parents[1]

SETTINGS_PAGE = """# Settings

Every setting, generated from `streetvision/settings/settings.py` (`make docs`). Flags beat the environment, which beats
`miner.env`; an empty value means unset. Switches take `true` or `false`; a bare flag means `true`. Flags are spelt as
bittensor's miners spell theirs; dashes in place of underscores are read too. The official miner's names:
[migrating.md](migrating.md). Use another file than `./miner.env` with `--env_file FILE` or `MINER_ENV=FILE`.

"""

MIGRATING_PAGE = """# Coming from the official miner

Your hotkey, its UID and its rank stay what they are: the chain knows the hotkey, not the program. Keep the same
port, or open the new one; the new endpoint is published at the start.

## Take the settings over
```console
$ streetvision init --from ~/streetvision-subnet
$ streetvision init --from miner.env --from start_miner.sh
$ streetvision init --from "pm2 start neurons/miner.py --name m -- --netuid 72 --wallet.name cold --wallet.hotkey hot"
```
`--from` takes a settings file, a start script, a systemd unit, the folder that holds `miner.env` and
`start_miner.sh`, or the start command in quotes, and may be repeated. It reads them and runs nothing: variables in a
script are filled in from the file that it sources; what only a shell could know, such as `$(hostname)`, is told and
left out. Of pm2's ecosystem files, Compose files and Kubernetes' give the command, in quotes, and the variables as a
file of `NAME=value` lines. Where several miners are started, give the command of one.

Then it says which names were translated, which have no effect, which values are wrong; asks for what is missing;
shows our `miner.env` and writes it when you agree. `--yes` asks nothing; flags beside it win.

Then `streetvision doctor`, stop the official miner, start this one ([running.md](running.md)). Both cannot hold one
port.

## What is different
- **The model.** The official miner picks a detector class and its YAML file. Here `--model` names what answers: a
  version of your registry, `hf:owner/name@tag`, a folder ([models.md](models.md)). `MODEL_URL` with an address of
  Hugging Face, and `--model_url`, name your repository (`--model.repo`), as they did there; they do not choose a
  model.
- **Who is answered.** The official miner answers every registered hotkey unless
  `--blacklist.force_validator_permit` is on its command line, and then whatever follows the flag. Here a
  validator's permit is needed unless you set it to `false`.
- **One network, one node.** A node's address wins over the network's name. Where a flag names a network and only
  `miner.env` names a node, the start is refused, as the node may be another network's; `mock` drops the node.
- **Nothing is passed over that says whom the miner talks to.** Two names of one setting that contradict each other,
  or a misspelt `WALLET_...` or `SUBTENSOR_...`, end the start with a sentence.
- **Spelling.** Flags are spelt as bittensor's miners spell theirs, with dots and underscores; `--axon.external-ip`
  is read as `--axon.external_ip`, in every command. A switch alone means `true`; `true`, `yes`, `on`, `1` and their
  opposites are read.

## Back, and older versions
Nothing that the official miner keeps is touched: to go back, stop this miner and start that one.

An update lifts the files of a state folder to its own format. The version before then still serves from that folder
and keeps its models and alerts, but reads and writes neither the prediction log nor the history, and says so at its
start. Before an update, stop the miner and copy `log/predictions.sqlite` and `monitor/history.sqlite`; to go back, put
them in place again, or move both away to start new ones. `models/` and the pictures in `log/images/` fit every version.

## Official names
What is not in this table has the same name here, or is refused with the nearest name. `None` and empty values mean
unset. A name with no effect is told once at the start. In the environment, which other programs share, it is not
even told.

"""


BENCHMARKS_PAGE = """# Benchmarks

Generated from `benchmarks/results/*.json` (`make docs`); `make bench` measures anew. Each script checks that the
answers are right before it reports a speed, and compares with its rival in the same run. Machines with few shared cores
are noisy: read the ratios, not the absolute figures.

What was not reached, and why:

- **Axon at one connection**: between 17 and 23 times the stock axon from run to run, where 20 was the goal; at 32
  connections it is past 20 on a quiet machine. A request costs the server about 110 µs: 31 of them verify the sr25519
  signature, 12 parse headers and body, the rest is the HTTP parser, the event loop and the kernel. At one connection
  the two processes also wait for each other to wake. Collecting garbage less often changed nothing.
- **Progressive JPEG**: every scan must be read whatever the scale, so it gains 2 times where baseline JPEG gains 4.5.
- **The forward on a GPU** reaches its goals at a batch of 128 in bfloat16 (1.65, 1.455 and 1.351 times timm under
  torch.compile for ViT-S, -B and -L) and in float8 (1.99 to 2.08 times). At batch 1 ViT-B reaches them; ViT-L in
  bfloat16 has 0.69 of the latency (goal 0.65), and ViT-S had 0.62 and 0.56 (0.55) in the last run, 0.54 and 0.49 on
  another host. [kernels.md](kernels.md) has the reasons.
- **LayerNorm alone** is no faster than what torch.compile makes of it: 0.9 to 1.2 times in bfloat16, and in float8,
  which the rival does not write, 0.7 to 1.2 times. It is one kernel for all batches, so that no answer depends on the
  batch.
- **The fused heads** beat eager PyTorch 4.0 to 7.1 times (goal 5) and torch.compile 1.0 to 3.4 times (goal 1.5): below
  32 images each is one launch long, and a launch is what it costs.
- **From JPEG to probability** the H100's host gives 3,124 images/s of ViT-B with two decode threads (goal: 3,000), and
  fewer with one, four or eight. Python's lock bounds it: a core of that host runs Python 2.8 times slower than the EPYC
  of the other tables, and each time the lock changes hands a thread has to wake. So more threads are slower, a
  processor is never busy, and a shorter switch interval changes nothing. In one run there: 1,921 with every picture
  decoded by Pillow, 3,340 with pictures of the model's size decoded by simplejpeg, 3,519 on uvloop besides, as in the
  miner.
- **Compiling on the CPU** gains timm's forward little; two cores are busy with the matrix products either way. What
  serves since is not compiled and twice as fast. OpenVINO is still ahead of it; [machines.md](machines.md) has the
  figures and the reasons.
- **Test-time views** gain the bundled model 0.4 points of accuracy on augmented challenges (three flips) and nothing
  sure at native size; crops and tiles do not pay for it. None is on by default.
- **The prediction log** costs one to two hundredths of the throughput of 32 connections in a flood (goal: one; 0.977
  and 0.993 in two runs, medians of 4 and 5 pairs) and nothing at one connection, because it gives way: a flood longer
  than 2 s is logged in samples and the rest is counted. The first two seconds are logged in full and cost about a
  tenth, most of it because memory that is not freed at once is cold when it is used again. At a validator's pace, a few
  requests a minute, there is nothing to measure.
- **A swap on two cores** brings the p99 to about twice what it was (goal: 2), for two to three seconds and without a
  failure: 1.9 and 3.1 times to the same architecture, 2.1 and 1.6 to another, in two runs of four swaps each. Nothing
  is compiled; what is left is Python's lock, and the new model's passes on the cores that serve.
- **A ViT-L swapped under full load on a GPU** halts serving for 18 to 24 ms at the switch (goal: under 50) and at most
  45 while the new one is loaded; nothing is compiled and no request fails. Preparing took two minutes there, because
  the engine was never idle and the preparing thread has a third of such a time, and because the run judged float8 too.
- **A ViT-L's start** took 16.5 and 16.9 s with warm caches on one H100's host (goal: 15) and 22 and 24 s on another,
  cold 23. Of that, importing torch and timm takes 10 to 17 s there, several times what it takes elsewhere (timm imports
  torchvision, which imports torch's compiler). What is ours, from there to ready, takes 7 s on both.
- **Serving beside a training step** on one GPU, a partition of the multiprocessors wins where training keeps the device
  busy: the p99 of serving rises 1.2 to 1.3 times, against 1.6 to 3.3 with stream priorities. Training pays for it, with
  28 % of its speed instead of 62 %; [kernels.md](kernels.md) has the table.
- **Mining** beats random picking at every budget tried, by 0.4 to 1.0 points of accuracy, beyond its spread at 25
  and 100 pictures only. It did not beat plain uncertainty by more than noise, and a few labels more did little for
  a small head on frozen embeddings (0.853 before, 0.842 to 0.855 after).
"""


def render_benchmarks(folder: Path) -> str:
    """The page of all results: a section with the machine and a table per file."""
    return BENCHMARKS_PAGE + "".join(
        _section(path.stem, json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))
    )


def _section(name: str, result: dict[str, Any]) -> str:
    columns = list(result["rows"][0])
    machine = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    lines = [f"\n## {name}: {result['benchmark']}\n", f"`benchmarks/{name.partition('-')[0]}.py` on {machine}\n"]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row[column]) for column in columns) + " |" for row in result["rows"]]
    return "\n".join(lines) + "\n"


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    return (
        f"{value:,.4g}"
        if isinstance(value, float) and abs(value) < 1000
        else f"{value:,.0f}"
        if isinstance(value, float)
        else str(value)
    )


def main() -> None:
    """Write the generated files in place."""
    (ROOT / "docs" / "benchmarks.md").write_text(render_benchmarks(ROOT / "benchmarks" / "results"))
    (ROOT / "miner.env.example").write_text(render_env_example())
    (ROOT / "docs" / "settings.md").write_text(SETTINGS_PAGE + render_settings_table())
    (ROOT / "docs" / "migrating.md").write_text(MIGRATING_PAGE + render_official_table())


if __name__ == "__main__":
    main()
