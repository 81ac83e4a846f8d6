"""Make variations of the pictures that the serving model finds hardest, and judge which kinds pay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from streetvision.engine.types import Runner
from streetvision.labelling.chat_oracle import ChatOracle
from streetvision.labelling.oracle import LabelOracle
from streetvision.retrain.child import Tell
from streetvision.retrain.jobs.judge import progress_of
from streetvision.retrain.sets import learning_sets
from streetvision.runner.opening import open_runner
from streetvision.settings.handing import taken
from streetvision.settings.oracle import OracleSettings
from streetvision.settings.synthetic import SyntheticSettings
from streetvision.synthesis.back_ends.opening import offered, open_back_end
from streetvision.synthesis.making import Bounds, Maker, MadeReport
from streetvision.synthesis.model_opinion import ModelOpinion
from streetvision.synthesis.planning import allowed, parents_of, plan
from streetvision.synthesis.store import SynthesisStore, open_store
from streetvision.synthesis.varying import drawn, fields_of, hardest_first, judge_variations

SET = "retrain"
"""The set of variations that retraining makes and keeps from run to run."""


def run(request: Mapping[str, Any], tell: Tell, stop: Callable[[], bool]) -> dict[str, Any]:
    """What was made and what it adds; `folder` is where the variations lie."""
    state = Path(request["state_dir"])
    wanted = taken(SyntheticSettings, request["synthetic"])
    real = [one for some in learning_sets(request["sets"], state) for one in some.examples]
    opinion = ModelOpinion(_warm(Path(request["serving"]), request["device"]))
    parents = drawn([one for one in parents_of(real) if one.sha256])
    with open_store(state) as store:
        looked = progress_of("looking for hard pictures", len(parents), tell, stop)
        ordered = hardest_first(parents, opinion, looked)
        made = _made(store, wanted, ordered, len(parents_of(real)), _oracle(request, state, opinion, stop), tell, stop)
        kept = store.kept(SET)
        judged = progress_of("judging variations", len(ordered) + len(kept), tell, stop)
        found = fields_of(judge_variations(ordered, kept, opinion, judged))
        store.note_ablation(SET, request["now"], found)
        return {
            "folder": str(store.set_folder(SET)),
            "made": dict(made.kept),
            "left_out": dict(made.left_out),
            "spent": made.spent,
            "ended": made.ended,
            "ablation": found,
        }


def _made(
    store: SynthesisStore,
    wanted: SyntheticSettings,
    parents: list[Any],
    real: int,
    oracle: LabelOracle,
    tell: Tell,
    stop: Callable[[], bool],
) -> MadeReport:
    back_end = open_back_end(wanted)
    count = min(wanted.count, allowed(real, len(store.known(SET)), wanted.max_share))
    wishes = plan(parents, offered(wanted, back_end), count, 0, store.tried(SET, back_end.name))
    bounds = Bounds(wanted.price, wanted.budget, wanted.daily)
    try:
        maker = Maker(store, SET, back_end, oracle, bounds, wanted.trust)
        return maker.make(wishes, progress=progress_of("making variations", len(wishes), tell, stop))
    finally:
        back_end.close()


def _warm(folder: Path, device: str) -> Runner:
    runner = open_runner(folder, device=device, buckets=(1, 32), compile=False)
    runner.warmup(runner.buckets)
    return runner


def _oracle(request: Mapping[str, Any], state: Path, opinion: ModelOpinion, stop: Callable[[], bool]) -> LabelOracle:
    """A larger model where one is configured, else the serving one."""
    wanted = taken(OracleSettings, request["oracle"])
    return ChatOracle(wanted, state, stop=stop) if wanted.url else opinion
