"""All kinds of sprites, works and look-alikes apart."""

from __future__ import annotations

from streetvision.scenes.sprites.barriers import BARRIERS
from streetvision.scenes.sprites.channelisers import CHANNELISERS
from streetvision.scenes.sprites.furniture import FURNITURE
from streetvision.scenes.sprites.ground_works import GROUND_WORKS
from streetvision.scenes.sprites.machines import MACHINERY
from streetvision.scenes.sprites.model import Kind
from streetvision.scenes.sprites.nature import NATURE
from streetvision.scenes.sprites.ordinary_signs import ORDINARY_SIGNS
from streetvision.scenes.sprites.people import PEOPLE, WORKERS
from streetvision.scenes.sprites.signs import SIGNS
from streetvision.scenes.sprites.trailers import TRAILERS
from streetvision.scenes.sprites.vehicles import VEHICLES
from streetvision.scenes.sprites.work_trucks import WORK_TRUCKS

WORKS: tuple[Kind, ...] = (
    *CHANNELISERS,
    *BARRIERS,
    *SIGNS,
    *WORKERS,
    *TRAILERS,
    *MACHINERY,
    *WORK_TRUCKS,
    *GROUND_WORKS,
)
LOOK_ALIKES: tuple[Kind, ...] = (*PEOPLE, *VEHICLES, *ORDINARY_SIGNS, *FURNITURE, *NATURE)
