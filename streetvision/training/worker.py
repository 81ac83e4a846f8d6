"""What each of several processes runs: `python -m torch.distributed.run ... -m streetvision.training.worker RUN`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from streetvision.errors import OperatorError
from streetvision.sources.opening import open_dataset
from streetvision.training.fit import learn
from streetvision.training.keeping import Stopped
from streetvision.training.launching import FAILED_EVENT, STOP_FILE, STOPPED_EVENT
from streetvision.training.pictures import gather
from streetvision.training.run_folder import RunFolder


def main(path: Path) -> int:
    """Train this process's part of the run; what it tells are lines of JSON on stdout."""
    run = RunFolder(path)
    try:
        pictures = gather([open_dataset(name, state=path.parent.parent) for name in run.record().sets])
        accelerator = os.environ.get("STREETVISION_ACCELERATOR", "auto")
        learn(run, pictures, _tell, stop=(path / STOP_FILE).exists, accelerator=accelerator)
    except Stopped as stopped:
        _tell({"event": STOPPED_EVENT, "why": str(stopped)})
    except OperatorError as error:
        _say({"event": FAILED_EVENT, "why": str(error)})
        return 1
    return 0


def _tell(event: dict[str, Any]) -> None:
    if os.environ.get("RANK", "0") == "0":
        _say(event)


def _say(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
