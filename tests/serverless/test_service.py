"""What the commands ask of Modal, and what its answers become; its library is replaced, its signatures are real."""

from __future__ import annotations

import inspect
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from streetvision.engine.transport import ModelPin
from streetvision.errors import OperatorError
from streetvision.settings.modal import ModalSettings

pytest.importorskip("modal", reason="the extra `modal` is not installed")

import modal

from streetvision.serverless.service import DeployedApp, Running, Service

from .fake_sdk import FakeSdk

NOW = datetime(2026, 11, 30, 12, 30, tzinfo=UTC)
PIN = ModelPin("1.0.0", "ab" * 32)


@pytest.fixture
def sdk() -> FakeSdk:
    return FakeSdk()


@pytest.fixture
def service(sdk: FakeSdk) -> Service:
    return Service(ModalSettings(), sdk)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for name in ("model.json", "model.safetensors", "golden.json"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_a_model_is_two_files_in_one_batch(sdk: FakeSdk, service: Service, model: Path) -> None:
    service.upload(model, PIN)
    folder = f"/1.0.0/{PIN.fingerprint}"
    assert sdk.files.keys() == {f"{folder}/model.json", f"{folder}/model.safetensors"}
    assert service.uploaded() == [PIN]
    assert ("volume", ("streetvision-models", None, True)) in sdk.asked
    service.remove(PIN)
    assert service.uploaded() == []


def test_a_model_that_cannot_be_read_leaves_nothing_behind(sdk: FakeSdk, service: Service, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(OperatorError, match="uploading the model failed"):
        service.upload(tmp_path, PIN)
    assert sdk.files == {}


def test_how_the_app_is(sdk: FakeSdk, service: Service) -> None:
    assert service.running() == Running(2, 3, "https://modal.test/app")
    sdk.deployed = False
    assert service.running() is None


def test_the_bill_is_that_of_the_app_alone(sdk: FakeSdk, service: Service) -> None:
    sdk.charge(datetime(2026, 11, 29, 10, tzinfo=UTC), "0.8")
    sdk.charge(datetime(2026, 11, 30, 10, tzinfo=UTC), "0.4")
    sdk.charge(datetime(2026, 11, 30, 10, tzinfo=UTC), "99", app="another")
    found = service.charges(NOW)
    assert [charge.usd for charge in found] == [0.8, 0.4]
    assert found[0].by_resource == {"gpu_l4": 0.8}
    bounds = {"start": datetime(2026, 11, 1, tzinfo=UTC), "end": datetime(2026, 11, 30, 12, tzinfo=UTC)}
    assert ("report", bounds | {"resolution": "h"}) in sdk.asked


def test_the_bill_of_another_environment_is_left_out(sdk: FakeSdk) -> None:
    sdk.charge(NOW, "1", environment="main")
    sdk.charge(NOW, "2", environment="trial")
    assert [charge.usd for charge in Service(ModalSettings(environment="trial"), sdk).charges(NOW)] == [2.0]


def test_a_months_first_hour_has_no_bill_yet(sdk: FakeSdk, service: Service) -> None:
    sdk.refusing = True  # it is not even asked
    assert service.charges(datetime(2026, 12, 1, 0, 30, tzinfo=UTC)) == []


@pytest.mark.parametrize("work", ["uploaded", "running"])
def test_without_a_token_there_is_a_sentence(sdk: FakeSdk, service: Service, work: str) -> None:
    sdk.refusing = True
    with pytest.raises(OperatorError, match=r"failed \(Token missing\): run `modal token new`"):
        getattr(service, work)()


def test_stopping_is_modals_own_command() -> None:
    ran = list[list[str]]()

    def run(words: list[str], **_: Any) -> Any:
        ran.append(words)
        return SimpleNamespace(returncode=0)

    Service(ModalSettings(app="mine", environment="trial"), FakeSdk()).stop(run)
    assert ran[0][1:] == ["-m", "modal", "app", "stop", "mine", "--yes", "--env", "trial"]


def test_an_app_that_cannot_be_stopped_is_told() -> None:
    failed = SimpleNamespace(returncode=1, stderr="Error\nno such app", stdout="")
    with pytest.raises(OperatorError, match=r"cannot be stopped \(no such app\)"):
        Service(ModalSettings(), FakeSdk()).stop(lambda *_, **__: failed)


async def test_requests_go_to_the_deployed_class(sdk: FakeSdk) -> None:
    sdk.answer = ({"protocol": 1}, b"")
    app = DeployedApp(ModalSettings(app="mine", environment="trial"), sdk)
    assert await app.answer({"protocol": 1}, b"pixels") == ({"protocol": 1}, b"")
    assert sdk.asked == [("cls", ("mine", "Model", "trial")), ("remote", ({"protocol": 1}, b"pixels"))]


async def test_the_transports_bill_is_the_months_sum(sdk: FakeSdk) -> None:
    sdk.charge(datetime(2026, 11, 29, 10, tzinfo=UTC), "0.8")
    sdk.charge(datetime(2026, 11, 30, 10, tzinfo=UTC), "0.4")
    app = DeployedApp(ModalSettings(), sdk)
    bill = await app.bill(NOW)
    assert bill.usd == pytest.approx(1.2)
    assert bill.until == datetime(2026, 11, 30, 12, tzinfo=UTC)
    assert (await app.bill(datetime(2026, 12, 1, 0, 30, tzinfo=UTC))).usd == 0
    await app.keep_none_warm()
    assert sdk.asked[-1] == ("autoscale", {"min_containers": 0})


@pytest.mark.parametrize(
    ("found", "arguments", "named"),
    [
        (lambda: modal.Cls.from_name, ("app", "Model"), {"environment_name": None}),
        (lambda: modal.Volume.from_name, ("name",), {"environment_name": None, "create_if_missing": True}),
        (lambda: modal.Volume.from_name("name").batch_upload, (), {"force": True}),
        (lambda: modal.Volume.from_name("name").listdir, ("/",), {"recursive": True}),
        (lambda: modal.Volume.from_name("name").remove_file, ("/a",), {"recursive": True}),
        (lambda: modal.Volume.from_name("name").with_mount_options, (), {"read_only": True}),
        (lambda: modal.Cls.from_name("app", "Model")().update_autoscaler, (), {"min_containers": 0}),
        (lambda: modal.Cls.from_name("app", "Model")().answer.get_current_stats, (), {}),
        (lambda: modal.Cls.from_name("app", "Model").get_dashboard_url, (), {}),
        (lambda: modal.App("app").deploy, (), {"environment_name": None}),
        (lambda: modal.App("app").get_dashboard_url, (), {}),
        (lambda: modal.Workspace.from_context().billing.report, (), {"start": NOW, "end": NOW, "resolution": "h"}),
    ],
)
def test_modals_library_takes_what_we_pass(found: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    signature = inspect.signature(found())
    itself = (None,) if "self" in signature.parameters else ()
    signature.bind(*itself, *arguments, **named)


def test_modals_asynchronous_calls_are_there() -> None:
    instance = modal.Cls.from_name("app", "Model")()
    for call in (instance.answer.remote, instance.update_autoscaler, modal.Workspace.from_context().billing.report):
        assert callable(call.aio)


def test_a_command_of_modals_that_hangs_is_one_sentence() -> None:
    def hangs(words: list[str], **options: Any) -> None:
        raise subprocess.TimeoutExpired(words, options["timeout"])

    with pytest.raises(OperatorError, match=r"cannot be stopped .* try again"):
        Service(ModalSettings(), FakeSdk()).stop(hangs)
