"""Whoever labels or makes pictures: what they give is learned from, and judges nobody."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from streetvision.errors import OperatorError
from streetvision.retrain.step import Context
from streetvision.retrain.steps.more import LABELLED
from streetvision.retrain_log.records import StepName
from streetvision.settings.retrain import RetrainSettings
from streetvision.sources.folder import open_folder
from streetvision.sources.listed import ListedDataset
from streetvision.sources.source import Source

from .streets import Street, draw, store_set


@dataclass
class Oracle:
    """Says what the names of folders say."""

    folder: Path
    name: str = "an oracle"

    def source(self, context: Context) -> Source:
        return open_folder(self.folder)


class Silent:
    name = "nobody"

    def source(self, context: Context) -> Source:
        raise OperatorError("the oracle does not answer: try later")


@pytest.fixture
def made(tmp_path: Path) -> Street:
    one = Street(tmp_path / "state", RetrainSettings(datasets="streets", frozen="held", mine=False))
    store_set(one.state, "streets", draw(tmp_path / "streets", range(30)))
    store_set(one.state, "held", draw(tmp_path / "held", range(1000, 1010)))
    return one


def test_nobody_is_configured_and_that_is_said(made: Street) -> None:
    made.do(StepName.COLLECT)
    assert made.do(StepName.LABEL) == {"set": "", "pictures": 0, "why": "no oracle is configured"}


def test_what_an_oracle_labels_is_learned_from_alone(made: Street, tmp_path: Path) -> None:
    oracle = Oracle(draw(tmp_path / "asked", range(2000, 2010)))
    made.do(StepName.COLLECT)
    assert made.do(StepName.LABEL, oracle=oracle) == {"set": LABELLED, "pictures": 10, "why": "by an oracle"}
    output = made.do(StepName.SYNTHESISE, StepName.DATASET)
    listed = ListedDataset(Path(str(output["pictures"]))).examples()
    assert {one.split for one in listed if str(tmp_path / "asked") in one.source} == {"train"}
    assert len(listed) == 40


def test_an_oracle_that_fails_is_told(made: Street) -> None:
    with pytest.raises(OperatorError, match="does not answer"):
        made.do(StepName.LABEL, oracle=Silent())
