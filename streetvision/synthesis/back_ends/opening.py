"""The back end that the settings name."""

from __future__ import annotations

from streetvision.settings.synthetic import SyntheticSettings
from streetvision.synthesis.back_end import BackEnd
from streetvision.synthesis.kinds import Kind, kinds_named


def open_back_end(wanted: SyntheticSettings) -> BackEnd:
    """Ready to be asked; raises OperatorError. Empty means local here: whoever asks wants variations."""
    if wanted.back_end == "bedrock":
        from streetvision.synthesis.back_ends.bedrock import open_image_control

        return open_image_control(wanted.region, wanted.model)
    if wanted.back_end == "cosmos":
        from streetvision.synthesis.back_ends.cosmos import Cosmos
        from streetvision.synthesis.back_ends.http import Endpoint

        return Cosmos(Endpoint(wanted.url, wanted.key), wanted.model)
    if wanted.back_end == "vllm-omni":
        from streetvision.synthesis.back_ends.http import Endpoint
        from streetvision.synthesis.back_ends.vllm_omni import VllmOmni

        return VllmOmni(Endpoint(wanted.url, wanted.key), wanted.model)
    from streetvision.synthesis.back_ends.local import Local

    return Local()


def offered(wanted: SyntheticSettings, back_end: BackEnd) -> tuple[Kind, ...]:
    """The kinds that are wanted and that the back end makes; ConfigError for names of none."""
    return tuple(kind for kind in kinds_named(wanted.kind_names) if kind.name in back_end.kinds)
