"""A simulated validator in a process of its own: signs real challenges, sends them over HTTP, scores, reports.

Run as `python -m streetvision.demo.validator SOCKET`. It finds the miner on the mocked chain (by the bridge at SOCKET),
challenges it as each of the validator keys in turn, applies the subnet's reward formula per validator, and gives the
chain signed scores. Events go to stdout as JSON lines; it ends on SIGTERM, or when the chain is gone.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bittensor.sp_core import Keypair

from streetvision.chain.metagraph import MetagraphSnapshot
from streetvision.chain.mock.bridge import BridgeError
from streetvision.chain.mock.bridge_client import MockBridgeClient
from streetvision.challenge.exchange import Target, send
from streetvision.challenge.target import pictures_in
from streetvision.errors import reason
from streetvision.monitor.standing import standing_of
from streetvision.scenes.challenges import challenge
from streetvision.subnet import SUBNET, RewardTracker

VALIDATORS = ("Bob", "Charlie")
NATIVE_SHARE = 0.15
PHOTO_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Challenge:
    """An encoded image, the truth about it, and what it is, for people."""

    image: bytes
    roadwork: bool
    what: str


@dataclass
class SimulatedValidator:
    """One validator key with its own windows of the reward rule."""

    name: str
    keypair: Any
    rewards: RewardTracker = field(default_factory=RewardTracker)


def questions(seed: int, photos: list[Path]) -> Iterator[Challenge]:
    """Challenges without end: procedural scenes as validators distort them, some at native size, and real photos."""
    rng = random.Random(seed)
    while True:
        if photos and rng.random() < PHOTO_SHARE:
            path = rng.choice(photos)
            yield Challenge(path.read_bytes(), False, f"photo {path.name}")
            continue
        made = challenge(rng.randrange(10_000_000), native=rng.random() < NATIVE_SHARE, roadwork=rng.random() < 0.5)
        distorted = "" if made.level < 0 else f" level {made.level}"
        yield Challenge(made.jpeg, made.label, f"scene {made.size[0]}x{made.size[1]}{distorted}")


def labelled(folder: Path, seed: int) -> Iterator[Challenge]:
    """The pictures in `folder/roadwork` and `folder/none`, again and again, shuffled once."""
    pictures = sorted(folder.glob("*/*"))
    random.Random(seed).shuffle(pictures)
    for path in itertools.cycle(pictures):
        yield Challenge(path.read_bytes(), path.parent.name == "roadwork", f"picture {path.stem}")


async def find_miner(bridge: MockBridgeClient, hotkey: str) -> tuple[str, int]:
    """Wait until the chain shows the miner's endpoint."""
    while True:
        own = (await bridge.metagraph()).find(hotkey)
        if own is not None and own.axon is not None:
            host, _, port = own.axon.rpartition(":")
            return host.strip("[]"), int(port)
        await asyncio.sleep(0.2)


async def challenge_for_ever(socket: Path, hotkey: str, period: float, stream: Iterator[Challenge]) -> None:
    """Ask, score, report, for ever."""
    validators = [SimulatedValidator(name, Keypair.create_from_uri(f"//{name}")) for name in VALIDATORS]
    async with MockBridgeClient(socket) as bridge:
        host, port = await find_miner(bridge, hotkey)
        emit(event="found", endpoint=f"{host}:{port}")
        turn = 0
        while True:
            due = time.monotonic() + period
            validator = validators[turn % len(validators)]
            turn += 1
            question = await asyncio.to_thread(next, stream)
            outcome = await asyncio.to_thread(send, Target(host, port, hotkey), validator.keypair, question.image)
            reward = validator.rewards.score(question.roadwork, outcome.probability)
            await bridge.submit_scores(validator.keypair, {hotkey: reward}, SUBNET.netuid)
            emit(
                event="challenge",
                validator=validator.name,
                what=question.what,
                roadwork=question.roadwork,
                status=outcome.status,
                answer=outcome.probability,
                ms=round(outcome.seconds * 1e3, 1),
                reward=round(reward, 4),
                **describe_standing(await bridge.metagraph(), hotkey),
            )
            await asyncio.sleep(max(0.0, due - time.monotonic()))


def describe_standing(snapshot: MetagraphSnapshot, hotkey: str) -> dict[str, object]:
    """The miner's place on the chain, for the event."""
    standing = standing_of(snapshot, hotkey)
    if standing is None:
        return {"block": snapshot.block, "rank": None}
    return {
        "block": standing.block,
        "rank": standing.incentive_rank,
        "miners": standing.miners,
        "incentive": standing.incentive,
        "emission": standing.emission,
    }


def emit(**event: object) -> None:
    """One JSON line on stdout."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run until terminated; 0 when the mocked chain or the reader of the events is gone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("socket", type=Path, help="the mocked chain's socket")
    parser.add_argument("--miner", default=str(Keypair.create_from_uri("//Miner").ss58_address), help="hotkey to ask")
    parser.add_argument("--period", type=float, default=0.5, help="seconds between challenges")
    parser.add_argument("--seed", type=int, default=72)
    parser.add_argument("--photos", type=Path, default=None, help="folder of photos without roadwork")
    parser.add_argument("--pictures", type=Path, default=None, help="ask these alone: folders `roadwork` and `none`")
    arguments = parser.parse_args()
    photos = pictures_in([arguments.photos]) if arguments.photos else []
    own = arguments.pictures
    stream = labelled(own, arguments.seed) if own else questions(arguments.seed, photos)
    try:
        asyncio.run(challenge_for_ever(arguments.socket, arguments.miner, arguments.period, stream))
    except (OSError, BridgeError) as error:
        sys.stderr.write(f"validator: {reason(error)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
