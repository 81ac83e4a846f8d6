"""`streetvision fleet up`: a keeper for each miner, the fleet's page and metrics, and its socket, until a signal."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any

from loguru import logger

from streetvision.base.resources import usable_threads
from streetvision.base.state_folder import make_state_folder, only_one
from streetvision.base.wording import listed, plural
from streetvision.control.server import ControlServer, Handler, Progress
from streetvision.errors import ConfigError, OperatorError
from streetvision.fleet.asking import KEPT, RESTART, SOCKET_NAME, STOP, WORK
from streetvision.fleet.fleet_file import Fleet, ignored_variables, load_fleet
from streetvision.fleet.keeper import Keeper, Kept
from streetvision.fleet.member import Member
from streetvision.fleet.preflight import preflight
from streetvision.fleet.site import FleetSite
from streetvision.fleet.telling import Teller
from streetvision.miner.process import stop_on_signals

SETTLE_S = 60.0
"""Longest that the first start of one miner keeps the next waiting."""
THREADS_A_START = 4
"""A start imports torch and warms a model: more at once on these would only make each slower."""
ANOTHER = "`streetvision fleet status` shows it, `streetvision fleet down` stops it"


class Supervisor:
    """The miners of one fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.teller = Teller()
        self.keepers = {member.name: Keeper(member, self.teller) for member in fleet.members}
        self.site = FleetSite(fleet, self.kept)
        self._tasks: list[asyncio.Task[None]] = []

    def kept(self) -> dict[str, Kept]:
        """What the keepers know."""
        return {name: keeper.kept for name, keeper in self.keepers.items()}

    async def run(self, stop: asyncio.Event) -> None:
        """Keep them until `stop` is set; OperatorError when the fleet is up already, or its port is taken."""
        with only_one(self.fleet.state_dir, WORK, remedy=ANOTHER):
            async with AsyncExitStack() as stack:
                await self.site.start()
                stack.push_async_callback(self.site.close)
                control = ControlServer(self.fleet.state_dir / SOCKET_NAME, self._operations())
                await control.start()
                stack.push_async_callback(control.close)
                stack.push_async_callback(self._stop)
                self._warn()
                starts = asyncio.create_task(self._begin(), name="fleet-starts")
                stack.callback(starts.cancel)
                await stop.wait()

    def _operations(self) -> Mapping[str, Handler]:
        return {KEPT: self._kept, RESTART: self._restart, STOP: self._hold}

    def _warn(self) -> None:
        for sentence in preflight(self.fleet):
            logger.warning("{}", sentence)
        if ignored := ignored_variables(os.environ):
            logger.warning("{} in the environment: ignored, as all miners would get it", listed(ignored))

    async def _begin(self) -> None:
        """Start them, as many at once as the processors can bear."""
        turns = asyncio.Semaphore(max(1, usable_threads() // THREADS_A_START))
        logger.info("fleet: {} of {}", plural(len(self.keepers), "miner"), self.fleet.file)
        await asyncio.gather(*(self._first(keeper, turns) for keeper in self.keepers.values()))

    async def _first(self, keeper: Keeper, turns: asyncio.Semaphore) -> None:
        async with turns:
            self._tasks.append(asyncio.create_task(_kept_up(keeper), name=f"keeper-{keeper.member.name}"))
            with suppress(TimeoutError):
                await asyncio.wait_for(keeper.settled.wait(), SETTLE_S)

    async def _stop(self) -> None:
        """End all miners at once, each in order."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(keeper.stop() for keeper in self.keepers.values()))
        await self.teller.close()

    async def _kept(self, arguments: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
        return {name: kept.as_dict() for name, kept in self.kept().items()}

    async def _restart(self, arguments: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
        """Start one miner anew, or for the first time, with the settings that the file has for it now."""
        name = str(arguments.get("name"))
        member = load_fleet(self.fleet.file).member(name)
        if name in self.keepers:
            self.keepers[name].restart(member)
        else:
            self._add(member)
        return {"name": name}

    async def _hold(self, arguments: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
        """Stop one miner, whether its table is still in the file or not."""
        name = str(arguments.get("name"))
        if name not in self.keepers:
            raise OperatorError(f"no miner {name!r} is kept here; there are {', '.join(self.keepers)}")
        self.keepers[name].hold()
        return {"name": name}

    def _add(self, member: Member) -> None:
        """Keep one that is new in the file, beside those that run."""
        self.keepers[member.name] = keeper = Keeper(member, self.teller)
        self.site.add(member)
        self._tasks.append(asyncio.create_task(_kept_up(keeper), name=f"keeper-{member.name}"))


async def _kept_up(keeper: Keeper) -> None:
    """A defect in the keeping of one miner must leave the others kept."""
    try:
        await keeper.run()
    except Exception:  # noqa: BLE001 - see above
        logger.exception("{}: a defect ended its keeping; the miner itself goes on", keeper.member.name)
        keeper.settled.set()


async def keep(fleet: Fleet) -> None:
    """Keep a fleet until a signal."""
    make_state_folder(fleet.state_dir, "state_dir in [fleet]")
    await Supervisor(fleet).run(stop_on_signals())
    logger.info("fleet: all miners are stopped")


async def show(fleet: Fleet) -> None:
    """Page and metrics alone, until a signal; what a `fleet up` of these miners knows is not shown."""
    if not fleet.port:
        raise ConfigError(f"[fleet] in {fleet.file} says port = 0: there is nothing to serve")
    stop, site = stop_on_signals(), FleetSite(fleet, dict)
    await site.start()
    try:
        await stop.wait()
    finally:
        await site.close()
