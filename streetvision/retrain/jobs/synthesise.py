"""Make variations of the pictures that the serving model finds hardest, and judge which kinds pay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from streetvision.labelling.chat_oracle import ChatOracle
from streetvision.labelling.oracle import LabelOracle
from streetvision.retrain.child import Tell
from streetvision.retrain.jobs.judge import progress_of
from streetvision.retrain.sets import learning_sets
from streetvision.settings.handing import taken
from streetvision.settings.oracle import OracleSettings
from streetvision.settings.synthetic import SyntheticSettings
from streetvision.synthesis.back_ends.opening import open_back_end
from streetvision.synthesis.making import Bounds, Maker
from streetvision.synthesis.model_opinion import LaterOpinion, open_opinion
from streetvision.synthesis.planning import parents_of
from streetvision.synthesis.store import open_store
from streetvision.synthesis.varying import drawn, fields_of, hardest_first, judge_variations, wishes_for

SET = "retrain"
"""The set of variations that retraining makes and keeps from run to run."""


def run(request: Mapping[str, Any], tell: Tell, stop: Callable[[], bool]) -> dict[str, Any]:
    """What was made and what it adds; `folder` is where the variations lie. Raises OperatorError or JobStopped."""
    state, wanted = Path(request["state_dir"]), taken(SyntheticSettings, request["synthetic"])
    opinion = LaterOpinion(lambda: open_opinion(Path(request["serving"]), request["device"]))
    real = [one for some in learning_sets(request["sets"], state) for one in some.examples]
    parents = drawn(parents_of(real))
    with open_store(state) as store, closing(open_back_end(wanted)) as back_end:
        looked = progress_of("looking for hard pictures", len(parents), tell, stop)
        parents = hardest_first(parents, opinion.opened, looked)
        wishes = wishes_for(store, SET, wanted, back_end=back_end, parents=parents, seed=0)
        bounds = Bounds(wanted.price, wanted.budget, wanted.daily)
        maker = Maker(store, SET, back_end, _oracle(request, state, opinion, stop), bounds, wanted.trust)
        made = maker.make(wishes, progress=progress_of("making variations", len(wishes), tell, stop))
        kept = store.kept(SET)
        judged = progress_of("judging variations", len(parents) + len(kept), tell, stop)
        found = fields_of(judge_variations(parents, kept, opinion, judged))
        store.note_ablation(SET, request["now"], found)
        return {
            "folder": str(store.set_folder(SET)),
            "made": dict(made.kept),
            "left_out": dict(made.left_out),
            "spent": made.spent,
            "ended": made.ended,
            "ablation": found,
        }


def _oracle(request: Mapping[str, Any], state: Path, opinion: LaterOpinion, stop: Callable[[], bool]) -> LabelOracle:
    """A larger model where one is configured, else the serving one."""
    wanted = taken(OracleSettings, request["oracle"])
    return ChatOracle(wanted, state, stop=stop) if wanted.is_configured else opinion
