"""What may leave the machine with a report, and what may not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision.monitor.observation import BackendView
from streetvision.status.redaction import HIDDEN, hidden, shared

from .worlds import hostile, retraining, status


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/home/joe/.streetvision is full", "… is full"),
        ("read `/var/lib/sv/log/predictions.sqlite`: denied", "read `…`: denied"),
        ("rm ~/.bittensor/wallets/x", "rm …"),
        ("see ~joe/x and ../up/there", "see … and …"),
        ("(/mnt/a,/mnt/b)", "(…,…)"),
        ("file:///srv/x", "…"),
        ("posted to https://discord.com/api/webhooks/1/secret.", "posted to …"),
        ("wss://user:pw@node:9944 failed", "… failed"),
        ("the chain shows 10.0.0.7:8091", "the chain shows …:8091"),
        ("host 192.168.1.20.", "host …."),
        ("at:127.0.0.1", "at:…"),
        ("[fd00::1]:8091 and ::1", "[…]:8091 and …"),
        (
            "streetvision register --wallet.name joe --wallet.hotkey=h1",
            "streetvision register --wallet.name … --wallet.hotkey …",
        ),
        ("fe80::aede:48ff:fe00:1122 asked", "… asked"),
    ],
)
def test_what_is_hidden(text: str, told: str) -> None:
    assert hidden(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "8.8.8.8:8091 and [2001:4860:4860::8888]:8091 are public",
        "rank 9/248, 0.5 alpha/day, and/or 1/2",
        "see docs/models.md and streetvision/x.py",
        "2026-11-22 20:50:10 UTC, in 3 h 20 min: 12:30:15",
        "street-b 1.4.0 with `streetvision models publish`, version 1.2.3",
        "hf:owner/name@v1.0.0",
        "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
    ],
)
def test_what_is_not(text: str) -> None:
    assert hidden(text) == text


def test_folders_with_spaces_are_hidden_by_name() -> None:
    folder = "/home/joe smith/state"
    assert hidden(f"{folder}/log is full", [folder, "/home/joe smith"]) == "…… is full"
    assert "smith" not in hidden(f"`{folder}`", [folder])


def test_a_snapshot_loses_what_names_the_machine() -> None:
    found = status()
    text = json.dumps(shared(found), ensure_ascii=False)
    assert "/srv/models" in json.dumps(found)
    for secret in ("/srv/models", "/var/lib", "4711", "203.0.113.7"):  # the last is for documents, not public
        assert secret not in text
    assert found["miner"]["pid"] == 4711
    assert shared(found)["miner"]["hotkey"] == found["miner"]["hotkey"]
    assert shared(status(endpoint="8.8.8.8:8091"))["miner"]["endpoint"] == "8.8.8.8:8091"
    assert shared(found)["series"] == found["series"]
    trained = shared(status(retrain=retraining(reason="/srv/runs is full", curves="https://wandb.ai/joe/x/runs/1")))
    assert not any(secret in json.dumps(trained["retrain"]) for secret in ("/srv", "joe"))
    json.dumps(shared(hostile()))


@given(st.text(alphabet="/.:~ a1[]f\n@-", max_size=60))
def test_hiding_never_fails_and_leaves_no_path(text: str) -> None:
    told = hidden(f"{text} /secret/place {text}")
    assert "secret" not in told
    assert hidden("/" * 5_000 + text).startswith(HIDDEN)


def test_a_backends_private_address_is_hidden() -> None:
    view = BackendView("ray", "open", 1.0, "unreachable", "10.0.0.5:10001 refuses", 1, 2, "http://10.0.0.5:8265")
    assert "10.0.0.5" not in json.dumps(shared(status(backend=view))["backend"])
