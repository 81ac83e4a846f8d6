"""Regenerate the texts that come from code: miner.env.example; in docs settings, migrating, benchmarks, cost, rules."""

from __future__ import annotations

from pathlib import Path

from benchmark_verdicts import Results
from benchmarks_page import render_benchmarks
from cost_page import render_cost

from streetvision.monitor.rules_table import with_rules_table
from streetvision.settings.rendering import render_env_example, render_official_table, render_settings_tables

ROOT = Path(__file__).parents[1]

SETTINGS_PAGE = """# Settings

Every setting, generated from `streetvision/settings/` (`make docs`). Flags beat the environment, which beats
`miner.env`; an empty value means unset. Switches take `true` or `false`; a bare flag means `true`. Flags are spelt as
bittensor's miners spell theirs; dashes in place of underscores are read too. The official miner's names:
[migrating.md](migrating.md). Use another file than `./miner.env` with `--env_file FILE` or `MINER_ENV=FILE`.

`streetvision init` asks for the network and the first eight and writes `miner.env`; the others have defaults that suit
most miners.

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


def main() -> None:
    """Write the generated files in place."""
    results = ROOT / "benchmarks" / "results"
    (ROOT / "docs" / "benchmarks.md").write_text(render_benchmarks(results))
    (ROOT / "docs" / "cost.md").write_text(render_cost(Results(results)))
    (ROOT / "miner.env.example").write_text(render_env_example())
    (ROOT / "docs" / "settings.md").write_text(SETTINGS_PAGE + render_settings_tables())
    monitoring = ROOT / "docs" / "monitoring.md"
    monitoring.write_text(with_rules_table(monitoring.read_text()))
    (ROOT / "docs" / "migrating.md").write_text(MIGRATING_PAGE + render_official_table())


if __name__ == "__main__":
    main()
