"""An oracle beside the dataset: from the log to a view of what a person should look at first, and into the picks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from fake_oracle import MODEL, FakeOracle, serving

from streetvision.labelling.asking import ask_all
from streetvision.labelling.chat_oracle import ChatOracle
from streetvision.labelling.pictures import LOG, Picture, log_pictures
from streetvision.labelling.reading import read_verdicts
from streetvision.labelling.review import rank
from streetvision.labelling.shots import make_prompt
from streetvision.labelling.store import asking_store
from streetvision.mining.hard import HardOptions, mine_hard
from streetvision.mining.oracle_view import ORACLE_VIEW, URGENCY, WHY, save_review
from streetvision.mining.schema import LABEL_FIELD, OPINION
from streetvision.mining.scores import DISAGREEMENT
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogFilter
from streetvision.settings.oracle import OracleSettings

from .conftest import Mine

Jpeg = Callable[[int], bytes]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def server() -> Iterator[FakeOracle]:
    with serving() as one:
        yield one


def wanted(server: FakeOracle) -> OracleSettings:
    return OracleSettings(url=server.url, model=MODEL, crops=0)


def logged(mine: Mine, jpeg: Jpeg, logits: list[float]) -> list[Picture]:
    vectors = np.eye(len(logits), dtype=np.float32)
    writer = mine.writer
    writer.write(*(writer.answered(jpeg(i), z, embedding=vectors[i]) for i, z in enumerate(logits)))
    mine.sync()
    with LogReader(mine.writer.folder) as reader:
        return list(log_pictures(reader, LogFilter(), {}))


def test_what_the_log_holds_is_asked_about_newest_first(mine: Mine, jpeg: Jpeg) -> None:
    pictures = logged(mine, jpeg, [2.0, -2.0, 0.0])
    assert [round(one.probability or 0, 2) for one in pictures] == [0.5, 0.12, 0.88]
    assert {one.source for one in pictures} == {LOG}
    with LogReader(mine.writer.folder) as reader:
        again = list(log_pictures(reader, LogFilter(), {pictures[0].sha256: True}))
    assert [one.human for one in again] == [True, None, None]


def test_disagreement_becomes_a_view(mine: Mine, jpeg: Jpeg, server: FakeOracle, tmp_path: Any) -> None:
    pictures = logged(mine, jpeg, [4.0, -4.0, -1.0, 3.0])
    settings = wanted(server)
    with asking_store(tmp_path) as store:
        ask_all(settings, make_prompt(settings, tmp_path), store, pictures)
    verdicts = read_verdicts(settings, tmp_path)
    items = rank(verdicts.pictures, 10)
    assert save_review(mine.fo, mine.dataset, verdicts.asker, items) == 2
    view = mine.dataset.load_saved_view(ORACLE_VIEW)
    whys, urgency = view.values([WHY, URGENCY])
    assert urgency == sorted(urgency, reverse=True)
    assert whys == [
        "the oracle says roadwork (0.90), the miner none (0.02)",
        "the oracle says roadwork (0.90), the miner none (0.27)",
    ]
    assert view.values(f"{OPINION}.oracle") == [verdicts.asker] * 2
    assert mine.dataset.exists(LABEL_FIELD).count() == 0
    assert save_review(mine.fo, mine.dataset, verdicts.asker, items[:1]) == 1
    assert mine.dataset.load_saved_view(ORACLE_VIEW).count() == 1
    assert save_review(mine.fo, mine.dataset, verdicts.asker, []) == 0


def test_the_picks_have_the_oracles_opinion(mine: Mine, jpeg: Jpeg, server: FakeOracle, tmp_path: Any) -> None:
    logged(mine, jpeg, [0.5, -0.5, 3.0, -3.0])
    oracle = ChatOracle(wanted(server), tmp_path)
    mine_hard(mine.fo, mine.dataset, mine.pictures, HardOptions(k=2), oracle=oracle)
    view = mine.dataset.load_saved_view("hard")
    assert view.values(f"{OPINION}.label") == ["roadwork", "roadwork"]
    assert view.values(f"{OPINION}.oracle") == [oracle.name] * 2
    assert server.charged.total() == 2


def test_what_an_oracle_said_before_counts_as_another_answer(mine: Mine, jpeg: Jpeg) -> None:
    pictures = logged(mine, jpeg, [-3.0, -3.0, -3.0, -3.0])
    judged = {pictures[1].sha256: 0.95, pictures[2].sha256: 0.05}
    mine_hard(mine.fo, mine.dataset, mine.pictures, HardOptions(k=1, shares={DISAGREEMENT: 1.0}), judged=judged)
    (sha256,) = mine.dataset.load_saved_view("hard").values("sha256")
    assert sha256 == pictures[1].sha256


def test_mine_hard_asks_where_it_is_told_to_and_the_cost_was_agreed_to(
    mine: Mine, jpeg: Jpeg, server: FakeOracle, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged(mine, jpeg, [0.5, -0.5, 3.0])
    for name, value in {"URL": server.url, "MODEL": MODEL, "CROPS": "1"}.items():
        monkeypatch.setenv(f"ORACLE_{name}", value)
    words = ("mine", "hard", "-k", "1", "--dataset", mine.dataset.name, "--state_dir", str(mine.state))
    assert command(*words)[0] == 0
    assert not server.charged
    code, _, err = command(*words, "--oracle")
    assert (code, "at most 2 questions to fake-vl@" in err, "say --yes" in err) == (1, True, True)
    assert command(*words, "--oracle", "--yes")[0] == 0
    assert server.charged.total() == 2
    monkeypatch.delenv("ORACLE_URL")
    monkeypatch.delenv("ORACLE_MODEL")
    assert "no oracle is configured" in command(*words, "--oracle", "--yes")[2]
