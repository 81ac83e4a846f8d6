"""docs/metrics.md names every metric that a whole miner shows, with its type and labels, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from prometheus_client.core import Metric

from streetvision.miner.miner import Miner
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import build, tiny_config
from streetvision.settings.model import ModelSettings
from streetvision.settings.network import AxonSettings, SubtensorSettings
from streetvision.settings.settings import Settings
from streetvision.settings.upkeep import MockSettings

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<type>\w+) \|(?P<labels>[^|]*)\| [^|]+ \|[^|]*\|$")
INNER = {"le", "quantile"}


def documented() -> dict[str, tuple[str, set[str]]]:
    """Type and labels by name."""
    rows = [match for line in PAGE.read_text().splitlines() if (match := ROW.match(line))]
    names = [row["name"] for row in rows]
    assert len(names) == len(set(names)), "a metric is named twice"
    return {row["name"]: (row["type"], set(re.findall(r"`(\w+)`", row["labels"]))) for row in rows}


def shown(families: Iterator[Metric]) -> dict[str, tuple[str, set[str]]]:
    """Type, and the labels of whatever samples there are, by the name that is scraped."""
    found = {}
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels}
        found[name] = (family.type, labels - INNER)
    return found


@pytest.fixture
async def families(tmp_path: Path) -> dict[str, tuple[str, set[str]]]:
    """Of a miner that has started."""
    torch.manual_seed(0)
    config = tiny_config(depth=1)
    save_checkpoint(tmp_path / "tiny", config, build(config).state_dict())
    settings = Settings(
        subtensor=SubtensorSettings(network="mock"),
        model=ModelSettings(choice=str(tmp_path / "tiny")),
        compile=False,
        threads=1,
        axon=AxonSettings(ip="127.0.0.1", port=0),
        state_dir=tmp_path / "state",
        mock=MockSettings(block_time=0.05),
    )
    miner = Miner(settings)
    try:
        await miner.start()
        await miner.monitoring.monitor.look()
        return shown(iter(miner.registry.collect()))
    finally:
        await miner.close()


async def test_the_page_is_complete(families: dict[str, tuple[str, set[str]]]) -> None:
    page = documented()
    assert sorted(families.keys() - page.keys()) == [], "missing in docs/metrics.md"
    assert sorted(page.keys() - families.keys()) == [], "docs/metrics.md names what there is not"


async def test_the_page_says_the_types_and_labels(families: dict[str, tuple[str, set[str]]]) -> None:
    page = documented()
    for name, (kind, labels) in families.items():
        assert page[name][0] == kind, name
        assert labels <= page[name][1], name
