"""From a set on the hub to a model of one's own on a running miner, by the commands that an operator types."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from streetvision.scenes.challenges import challenge

from ..hub.conftest import environment, server
from ..hub.fake_hub import FakeHub

__all__ = ["environment", "server"]

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

SET = "streets/works"
KEYS = ("model.weights=0.0.9", "model.head=cls_mean_linear", "optimiser.epochs=3", "augment.copies=1", "run.log=none")


def packed(count: int) -> bytes:
    """Challenges with labels, as a set on the hub keeps them."""
    drawn = [challenge(500 + number, native=False, roadwork=number % 2 == 0) for number in range(count)]
    rows = [{"image": {"bytes": one.jpeg, "path": f"{n}.jpg"}, "label": n % 2 == 0} for n, one in enumerate(drawn)]
    buffer = BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), buffer, row_group_size=16)
    return buffer.getvalue()


def test_from_the_hub_to_the_running_miner(
    serve: Callable[..., Any],
    add: Callable[..., None],
    load_on: Any,
    port: int,
    server: FakeHub,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    def streetvision(*words: str) -> str:
        code = "from streetvision.cli.main import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    server.dataset(SET, {"data/train-00000-of-00001.parquet": packed(40)}, labels=["license:cc-by-4.0"])
    add("0.0.9", noise=0.01)
    miner = serve()
    with load_on(port) as load:
        streetvision("data", "add", f"hub:{SET}", "--name", "works")
        keys = [word for key in KEYS for word in ("--set", key)]
        lines = streetvision("train", "--recipe", "quick", "--data", "works", *keys, "--version", "0.2.0", "--json")
        done = json.loads(lines.splitlines()[-1])
        assert (done["version"], done["servable"]) == ("0.2.0", True)
        streetvision("models", "swap", "0.2.0")
        load.wait_for(20)
    assert set(load.statuses) == {200}
    assert miner.models()["active"]["version"] == "0.2.0"
    shown = json.loads(streetvision("models", "show", "0.2.0", "--json"))
    assert shown["card"]["data"]["sources"][0].startswith(f"hub:{SET}@")
    assert miner.terminate()[0] == 0
