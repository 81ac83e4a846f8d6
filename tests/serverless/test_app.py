"""The app, by Modal's own library and without its service: what is asked for, and a container run on this machine."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streetvision.cost.prices import read_prices
from streetvision.engine.remote_wire import answer_of, batch_parts
from streetvision.engine.transport import RemoteBatch
from streetvision.runner.remote import pin_of
from streetvision.settings.modal import CARDS, ModalSettings

pytest.importorskip("modal", reason="the extra `modal` is not installed")

import modal

from streetvision.models.folder import read_config
from streetvision.serverless import app as ours


@pytest.mark.parametrize("card", CARDS)
def test_an_app_is_made_without_token_or_network(card: str) -> None:
    made = ours.make_app(ModalSettings(card=card, warm=1, most=3), "auto")
    assert made.name == "streetvision"


async def test_a_local_container_warms_and_answers(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = read_config(checkpoint)
    pin = pin_of(config.version, config)
    (tmp_path / pin.version).mkdir()
    (tmp_path / pin.version / pin.fingerprint).symlink_to(checkpoint)
    monkeypatch.setattr(ours, "MOUNT", str(tmp_path))
    monkeypatch.delenv(ours.APP_VOLUME, raising=False)
    images = np.zeros((1, config.input_size, config.input_size, 3), np.uint8)
    batch = RemoteBatch(pin, images, (5.0,), (0.0,), ("",))
    made = modal.App("streetvision")
    container: Any = made.cls(enable_memory_snapshot=True)(modal.concurrent(max_inputs=2)(ours.Model))()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Modal says that volumes are not mounted here
        head, block = batch_parts(batch)
        answer = answer_of(*await container.answer.local(head, bytes(block)))
    assert answer.model == pin
    assert answer.logits.shape == (1,)
    await container.host.close()


def test_the_container_has_the_releases_of_this_machine() -> None:
    import torch

    wanted = dict(line.split("==") for line in ours.requirements())
    assert wanted["torch"] == torch.__version__.partition("+")[0]
    assert "modal" not in wanted


def test_every_card_at_modal_has_a_price() -> None:
    prices = read_prices()
    assert all(prices.container_second(card) > 0 for card in CARDS)
    assert (prices.modal.cores, prices.modal.memory_gib * 1024) == (ours.CORES, ours.MEMORY_MIB)
