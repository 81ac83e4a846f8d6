"""The doctor's line about videos: nothing is spent, everything that could be amiss is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from streetvision.doctor import video
from streetvision.doctor.check import Check, Mark
from streetvision.doctor.video import check_video
from streetvision.errors import OperatorError
from streetvision.settings.settings import Settings
from streetvision.settings.video import VideoSettings
from streetvision.video.spending import Spending

FINE = {"authorizationStatus": "AUTHORIZED", "entitlementAvailability": "AVAILABLE", "regionAvailability": "AVAILABLE"}


class Session:
    """An AWS session whose clients answer as told."""

    region_name = "us-west-2"

    def __init__(self) -> None:
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": self.region_name}
        self.clients = {name: boto3.client(name, **keys) for name in ("sts", "bedrock")}
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}
        for stub in self.stubs.values():
            stub.activate()

    def client(self, name: str, **_: Any) -> Any:
        return self.clients[name]

    def models(self, *answers: dict[str, Any]) -> Session:
        self.stubs["sts"].add_response("get_caller_identity", {"Account": "123456789012"})
        ids = ["twelvelabs.pegasus-1-5-v1:0", "twelvelabs.marengo-embed-3-0-v1:0"]
        for model, answer in zip(ids, answers, strict=False):
            whole = {"modelId": model, "agreementAvailability": {"status": "AVAILABLE"}, **answer}
            self.stubs["bedrock"].add_response("get_foundation_model_availability", whole, {"modelId": model})
        return self


def checked(tmp_path: Path, session: Session | None = None, **video_settings: Any) -> Check:
    wanted = VideoSettings(twelvelabs=True, **video_settings)
    return check_video(Settings(state_dir=tmp_path, video=wanted), lambda *_: session)


def test_all_is_well(tmp_path: Path) -> None:
    Spending(tmp_path, None).count("a", 1.25)
    check = checked(tmp_path, Session().models(FINE, FINE), budget=5.0)
    assert check.mark is Mark.OK
    assert check.evidence == "TwelveLabs on Bedrock in us-west-2, account …9012: $1.25 of $5.00 spent this month"


def test_without_a_bound_and_beyond_it(tmp_path: Path) -> None:
    Spending(tmp_path, None).count("a", 1.25)
    assert "$1.25 spent this month, and nothing bounds it" in checked(tmp_path, Session().models(FINE, FINE)).evidence
    spent = checked(tmp_path, Session().models(FINE, FINE), budget=1.0)
    assert (spent.mark, spent.remedy) == (Mark.WARNING, "Wait, or raise VIDEO_BUDGET.")


def test_a_model_that_may_not_be_used(tmp_path: Path) -> None:
    check = checked(tmp_path, Session().models(FINE, {**FINE, "entitlementAvailability": "NOT_AVAILABLE"}))
    assert check.mark is Mark.WARNING
    assert "marengo-embed-3-0-v1:0 in us-west-2: entitlementAvailability is NOT_AVAILABLE" in check.evidence


def test_credentials_that_are_refused_or_missing(tmp_path: Path) -> None:
    session = Session()
    session.stubs["sts"].add_client_error("get_caller_identity", "ExpiredToken")
    assert "refuses the credentials" in checked(tmp_path, session).evidence

    def missing(*_: str) -> Any:
        raise OperatorError("there are no AWS credentials: set them")

    check = check_video(Settings(state_dir=tmp_path, video=VideoSettings(twelvelabs=True)), missing)
    assert (check.mark, check.evidence) == (
        Mark.WARNING,
        "TwelveLabs on Bedrock: there are no AWS credentials: set them",
    )


def test_nothing_is_asked_while_it_is_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(state_dir=tmp_path)
    assert check_video(settings, lambda *_: pytest.fail("AWS was asked")).mark is Mark.OK
    monkeypatch.setattr(video, "find_spec", lambda _: None)
    check = check_video(replace(settings, video=VideoSettings(twelvelabs=True)))
    assert (check.mark, "streetvision[video]" in check.remedy) == (Mark.SKIPPED, True)
