"""What --model means, and when a swap outlives a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from loguru import logger

from streetvision.errors import ConfigError, OperatorError
from streetvision.hub import pull as hub
from streetvision.miner.model_choice import choose_checkpoint, choose_model, serving_model
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.folder import bundled_checkpoint
from streetvision.models.network import build, tiny_config
from streetvision.registry.model_import import ImportProgress
from streetvision.registry.registry import REGISTRY_FOLDER, Registry
from streetvision.rollout.journal import JOURNAL_FILE, Journal
from streetvision.settings.model import ModelSettings
from streetvision.settings.network import SubtensorSettings
from streetvision.settings.settings import Settings

Make = Callable[..., Path]


def save(folder: Path, version: str, **card: Any) -> Path:
    torch.manual_seed(0)
    config = replace(tiny_config(version=version, depth=1, width=64), input_size=32, card=card)
    save_checkpoint(folder, config, build(config).state_dict())
    return folder


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return lambda version, **card: save(tmp_path / f"made-{version}", version, **card)


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry of three versions, to be copied: each has answered the golden pictures once."""
    home = tmp_path_factory.mktemp("examined")
    registry = Registry(home / REGISTRY_FOLDER)
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        registry.add_folder(save(home / version, version), source="test")
    return registry.folder


@pytest.fixture
def registry(tmp_path: Path, examined: Path) -> Registry:
    return Registry(copytree(examined, tmp_path / "state" / REGISTRY_FOLDER))


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(str(message.record["message"])), level="INFO")
    yield lines
    logger.remove(handler)


@pytest.fixture
def settings(tmp_path: Path) -> Callable[[str], Settings]:
    return lambda model: Settings(model=ModelSettings(choice=model), state_dir=tmp_path / "state")


Ask = Callable[[str], Settings]


def test_each_way_to_name_a_model(registry: Registry, settings: Ask, make: Make) -> None:
    assert choose_checkpoint(settings("bundled")) == bundled_checkpoint()
    assert choose_checkpoint(replace(settings(""), subtensor=SubtensorSettings(network="mock"))) == bundled_checkpoint()
    assert choose_checkpoint(settings("1.1.0")) == registry.get("1.1.0").folder
    outside = make("7.0.0")
    choice = choose_model(settings(str(outside)))
    assert (choice.start.folder, choice.start.version) == (outside, "7.0.0")
    own = registry.get("1.1.0").folder
    assert choose_model(settings(str(own))).start == registry.get("1.1.0")


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("", "insist with --model bundled"),
        ("9.9.9", "there are: bundled, 1.0.0"),
        ("https://huggingface.co/x/y", "takes no address"),
        ("hf:x", "is no Hugging Face repository"),
        ("/nowhere/at/all", "is not a folder"),
        ("me/roads", r"write hf:me/roads@tag .* or --model\.repo me/roads"),
    ],
)
def test_what_names_nothing_is_one_sentence(registry: Registry, settings: Ask, model: str, sentence: str) -> None:
    with pytest.raises(OperatorError, match=sentence):
        choose_model(settings(model))
    assert registry.steps() == ()


def test_an_untrained_folder_or_one_that_does_not_fit_is_refused_before_anything_is_paid(
    registry: Registry, settings: Ask, make: Make
) -> None:
    with pytest.raises(OperatorError, match="its head is fresh"):
        choose_model(settings(str(make("3.0.0", untrained=True))))
    folder = make("4.0.0")
    text = (folder / "model.json").read_text()
    (folder / "model.json").write_text(text.replace('"depth": 1', '"depth": 2'))
    with pytest.raises(OperatorError, match="do not fit their description"):
        choose_model(settings(str(folder)))
    (folder / "model.safetensors").unlink()
    with pytest.raises(OperatorError, match=r"has no model\.safetensors"):
        choose_model(settings(str(folder)))


def test_others_learn_which_model_serves_without_a_trace(registry: Registry, settings: Ask) -> None:
    assert serving_model(settings("1.0.0")).version == "1.0.0"
    assert registry.steps() == ()
    registry.activate("1.1.0", over="1.0.0", why="swap")
    before = registry.steps()
    assert serving_model(settings("1.0.0")).version == serving_model(settings("")).version == "1.1.0"
    assert serving_model(settings("1.2.0")).version == "1.2.0", "the setting was changed since the swap"
    assert registry.steps() == before


def test_a_swap_outlives_a_restart_while_the_setting_stays(
    registry: Registry, settings: Ask, make: Make, log: list[str]
) -> None:
    outside = str(make("0.9.0"))
    assert choose_model(settings(outside)).start.version == "0.9.0"
    assert registry.active() is None
    registry.activate("1.1.0", over=outside, why="swap")
    choice = choose_model(settings(outside))
    assert choice.start.version == "1.1.0"
    assert choice.named is not None
    assert choice.named.version == "0.9.0"
    assert any(
        line.startswith("model: 1.1.0 serves since 20") and line.endswith("as --model is unchanged") for line in log
    )
    assert choose_model(settings("")).start.version == "1.1.0"


def test_another_setting_wins_over_the_swap_and_is_written_down(
    registry: Registry, settings: Ask, log: list[str]
) -> None:
    registry.activate("1.1.0", over="bundled", why="swap")
    choice = choose_model(settings("1.2.0"))
    assert choice.start.version == "1.2.0"
    assert "model: 1.2.0 wins over 1.1.0, which was active while --model was bundled" in log
    assert (registry.active(), registry.previous()) == ("1.2.0", "1.1.0")
    assert registry.steps()[-1].over == "1.2.0"
    before = registry.steps()
    assert choose_model(settings("1.2.0")).start.version == "1.2.0"
    assert registry.steps() == before
    assert choose_model(settings("bundled")).start.version == "bundled"
    assert (registry.active(), registry.previous()) == (None, "1.2.0")
    assert choose_model(settings("bundled")).start.version == "bundled"


def test_a_version_named_at_start_is_the_active_one(registry: Registry, settings: Ask) -> None:
    choose_model(settings("1.0.0"))
    assert registry.active() == "1.0.0"
    with pytest.raises(OperatorError, match="is the active one"):
        registry.remove("1.0.0")
    registry.activate("1.2.0", over="1.0.0", why="swap")
    assert choose_model(settings("1.0.0")).start.version == "1.2.0"
    assert registry.previous() == "1.0.0"


def test_a_damaged_active_version_gives_way_to_the_last_good_one(
    registry: Registry, settings: Ask, log: list[str]
) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        registry.activate(version, over="bundled", why="swap")
    weights = registry.get("1.2.0").folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert choose_model(settings("bundled")).start.version == "1.1.0"
    assert any("1.2.0 is damaged" in line for line in log)
    assert "model: 1.1.0 serves in place of 1.2.0, which cannot" in log
    (decision,) = Journal(registry.folder / JOURNAL_FILE).tail(5)
    assert (decision["event"], decision["version"], decision["to"]) == ("rollback", "1.2.0", "1.1.0")
    assert (decision["by"], "1.2.0 is damaged" in decision["why"]) == ("start", True)
    assert (registry.active(), registry.previous()) == ("1.1.0", "1.0.0")
    for version in ("1.0.0", "1.1.0"):
        (registry.get(version).folder / "golden.json").unlink()
    assert choose_model(settings("bundled")).start.version == "bundled"
    assert registry.active() is None
    with pytest.raises(ConfigError, match="no model is chosen"):
        choose_model(settings(""))


def test_a_model_on_the_hub_is_fetched_once(
    registry: Registry, settings: Ask, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    pulls = []

    def pull(repo: str, revision: str, into: Registry, *, progress: ImportProgress, **_: Any) -> Any:
        pulls.append((repo, revision))
        for done in range(101):
            progress("fetching", done * 10**7, 10**9)
        return into.get("1.1.0")

    monkeypatch.setattr(hub, "pull", pull)
    for _ in range(2):
        choice = choose_model(settings("hf:someone/roadwork@v1.1.0"))
        assert choice.start.version == "1.1.0"
        assert choice.named is not None
        assert choice.named.version == "1.1.0"
    assert pulls == [("someone/roadwork", "v1.1.0")]
    assert [line for line in log if "GB fetched" in line] == [f"model: {n}0% of 1.00 GB fetched" for n in range(1, 11)]
    registry.activate("1.2.0", over="hf:someone/roadwork@v1.1.0", why="swap")
    choice = choose_model(settings("hf:someone/roadwork@v1.1.0"))
    assert choice.start.version == "1.2.0"
    assert choice.named is not None
    assert choice.named.version == "1.1.0"
    assert choose_model(settings("hf:someone/roadwork@v2.0.0")).start.version == "1.1.0"
    assert len(pulls) == 2
