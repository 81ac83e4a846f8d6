"""The oracle's check: what it finds wrong, without a question."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_oracle import MODEL, FakeOracle, serving

from streetvision.doctor.check import Mark
from streetvision.doctor.oracle import check_oracle
from streetvision.labelling.store import Cost, LabellingStore
from streetvision.settings.oracle import OracleSettings
from streetvision.settings.secret import Secret
from streetvision.settings.settings import Settings

NOW = 1_796_040_000.0
"""2026-11-30."""
PRICED: dict[str, Any] = {"input_price": 1.0, "price_date": "2026-11-01", "month_money": 10.0}


@pytest.fixture
def server() -> Iterator[FakeOracle]:
    with serving(models=[MODEL, "other"]) as one:
        yield one


def settings(server: FakeOracle, state: Path, **changes: Any) -> Settings:
    wanted = {"url": server.url, "model": MODEL, "key": Secret("sk-secret"), **PRICED, **changes}
    return replace(Settings(), state_dir=state, oracle=OracleSettings(**wanted))


async def test_all_is_well_and_nothing_is_spent(server: FakeOracle, tmp_path: Path) -> None:
    check = await check_oracle(settings(server, tmp_path), NOW)
    assert check.mark is Mark.OK
    assert "0 tokens and 0.00 of 10.00 of money spent this month" in check.evidence
    assert [(first, body) for first, _, body in server.requests] == [("GET /v1/models HTTP/1.1", {})]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "evidence", "remedy"),
    [
        ({"model": "fake-v1"}, "has no model 'fake-v1'", "Did you mean --oracle.model fake-vl?"),
        ({"month_money": None}, "nothing bounds its cost", "--oracle.month_money"),
        ({"price_date": "2026-08-01"}, "121 days ago", "--oracle.price_date"),
        ({"month_tokens": 50}, "100 of 50 tokens spent this month", "raise ORACLE_MONTH_TOKENS"),
        ({"url": "http://127.0.0.1:9/v1"}, "cannot be asked (connection refused)", "correct --oracle.url"),
    ],
)
async def test_what_is_wrong_is_a_warning(
    server: FakeOracle, tmp_path: Path, changes: dict[str, Any], evidence: str, remedy: str
) -> None:
    with LabellingStore(tmp_path) as store:
        store.open("one", "a", 0, Cost(100, 0.1), "2026-11-02T00:00:00+00:00")
    check = await check_oracle(settings(server, tmp_path, **changes), NOW)
    assert check.mark is Mark.WARNING
    assert evidence in check.evidence
    assert remedy in check.remedy
    assert "sk-secret" not in f"{check}"


async def test_a_server_that_says_nothing_is_left(
    server: FakeOracle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streetvision.doctor.oracle.ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        check = await check_oracle(settings(server, tmp_path, url=url), NOW)
    assert "cannot be asked (no answer within 0.2 s)" in check.evidence


async def test_where_nobody_is_asked_nothing_is_checked(tmp_path: Path) -> None:
    check = await check_oracle(replace(Settings(), state_dir=tmp_path), NOW)
    assert check.mark is Mark.SKIPPED
