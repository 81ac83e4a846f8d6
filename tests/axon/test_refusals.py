"""Refusals before identity: each reason is known, counted and told, whatever a stranger sends."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

import streetvision
from streetvision.axon.exchange import Clock
from streetvision.axon.refusals import LINE_S, OTHER, REASONS, Refusals
from streetvision.engine.types import EngineError
from streetvision.miner.request_log import counts_line

from . import conftest as kit
from .conftest import Axon

AXON = Path(streetvision.__file__).parent / "axon"


class Hand:
    """Both clocks, by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> Clock:
        return Clock(lambda: int(self.now * 1e9), lambda: self.now)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    kept: list[str] = []
    sink = logger.add(lambda message: kept.append(str(message)), format="{level} {message}", level="DEBUG")
    yield kept
    logger.remove(sink)


def reasons_in_code() -> set[str]:
    """Second arguments of Refused and WireError, wherever they are made."""
    found: set[str] = set()
    for path in AXON.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Refused", "WireError"):
                found |= {a.value for a in node.args[1:2] if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    return found


def test_every_reason_has_its_words() -> None:
    after_proof = {"body_hash", "empty_image", "bad_json", "missing_image", "not_base64", "late"}
    engine = {kind.reason for kind in EngineError.__subclasses__()}
    assert reasons_in_code() - after_proof - engine <= set(REASONS)
    assert all(words == words.strip() and len(words) < 45 for words in REASONS.values())


def test_counts_by_reason_of_the_last_hour() -> None:
    hand = Hand()
    refusals = Refusals(hand.clock())
    for _ in range(3):
        refusals.note("unknown_path", "192.0.2.1", status=404)
    hand.now += 3000.0
    refusals.note("unknown_path", "192.0.2.1", status=404)
    refusals.note("tls", "192.0.2.1", status=400)
    assert [count[:3] for count in refusals.counts()] == [("unknown_path", 4, 4), ("tls", 1, 1)]
    hand.now += 1200.0
    refusals.note("tls", "192.0.2.1", status=400)
    assert [count[:3] for count in refusals.counts()] == [("tls", 2, 2), ("unknown_path", 4, 1)]
    hand.now += 86_400.0
    assert [count[:3] for count in refusals.counts()] == [("unknown_path", 4, 0), ("tls", 2, 0)]
    assert refusals.counts()[0].last == 4000.0


def test_unknown_reasons_share_one_place() -> None:
    refusals = Refusals(Hand().clock())
    for n in range(1000):
        refusals.note(f"made up {n}", "192.0.2.1")
    assert [count[:2] for count in refusals.counts()] == [(OTHER, 1000)]


def test_one_line_a_reason_in_ten_minutes(lines: list[str]) -> None:
    hand = Hand()
    refusals = Refusals(hand.clock())
    for _ in range(13):
        refusals.note("headers_dropped", "10.0.0.2", status=400)
        refusals.note("unknown_path", "192.0.2.1", status=404)
    assert [line.split(" ")[0] for line in lines] == ["WARNING", "INFO"]
    assert "refused with 400" in lines[0]
    assert "10.0.0.2" in lines[0]
    hand.now += LINE_S
    refusals.note("headers_dropped", "10.0.0.2", status=400)
    assert "13 times since" in lines[2]


def test_what_has_a_line_of_its_own_gets_no_second(lines: list[str]) -> None:
    Refusals(Hand().clock()).note("bad_signature", "192.0.2.1", status=401, told=True)
    assert lines == []


async def test_a_proxy_that_drops_underscores_is_seen(axon: Axon, lines: list[str]) -> None:
    """Thirteen requests, thirteen times 400: once invisible."""
    for _ in range(13):
        headers = {name: value for name, value in kit.signed().items() if "_" not in name}
        assert (await axon.ask(headers=headers)).status == 400
    assert axon.counted(400, "headers_dropped", "none") == 13
    assert [count[:3] for count in axon.server.refusals.counts()] == [("headers_dropped", 13, 13)]
    assert len([line for line in lines if "headers_dropped" in line]) == 1
    assert counts_line(axon.registry) == "since the start 0 answered, 13 refused: 13 x 400 headers_dropped"


async def test_proven_requests_are_no_refusals(axon: Axon) -> None:
    assert (await axon.ask(body=b"{")).status == 400
    assert axon.server.refusals.counts() == ()


async def test_hostile_bytes_reach_no_line(axon: Axon, lines: list[str]) -> None:
    evil = "{0}<red>\x1b[31mEVIL"
    await axon.raw(f"POST /ImageSynapse HTTP/1.1\r\nhost: x\r\nname: {evil}\r\ncontent-length: 0\r\n\r\n".encode())
    await axon.raw(f"GET /{{0}}<red>%1b[31mEVIL HTTP/1.1\r\nhost: {evil}\r\n\r\n".encode())
    await axon.ask(headers=kit.signed() | {"bt_header_dendrite_uuid": "{0}<red>EVIL"})
    await axon.ask(headers=kit.signed() | {"bt_header_dendrite_hotkey": "{0}<red>EVIL"})
    assert lines
    assert not [line for line in lines if "EVIL" in line or "\x1b" in line]


async def test_a_missing_timeout_costs_nothing(axon: Axon) -> None:
    headers = {name: value for name, value in kit.signed().items() if name != "timeout"}
    assert (await axon.ask(headers=headers)).status == 200
