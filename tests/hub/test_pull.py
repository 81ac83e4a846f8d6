"""Pulling from a hub that answers well, badly or too late, onto a disk that may be full."""

from __future__ import annotations

import errno
import hashlib
from collections import namedtuple

import pytest
from huggingface_hub import constants, errors

from streetvision.errors import OperatorError
from streetvision.hub.client import Hub
from streetvision.registry.registry import Registry

from .fake_hub import FakeHub
from .pulling import REPO, Files, left, pulled, refused


def test_a_tag_is_pinned_to_its_commit_and_lands_in_the_registry(
    server: FakeHub, hub: Hub, registry: Registry, files: Files
) -> None:
    strange = {"evil.py": b"x", "other/model.safetensors": b"y" * 5000, "pytorch_model.bin": b"z" * 9}
    repo = server.repo(REPO, {**files, **strange})
    seen: list[tuple[str, int, int]] = []
    found = pulled(registry, hub, progress=lambda *step: seen.append(step))
    assert found.version == "1.0.0"
    assert found.source == f"hf:{REPO}@{repo.head}"
    there = {path.name for path in found.folder.iterdir()}
    assert {"model.safetensors", "model.json", "model_card.json", "README.md"} <= there
    assert not there & {"evil.py", "other", "pytorch_model.bin", ".gitattributes"}
    assert (found.folder / "model.safetensors").read_bytes() == files["model.safetensors"]
    fetching = [step for step in seen if step[0] == "fetching"]
    assert fetching[-1][1:] == (len(files["model.safetensors"]),) * 2
    assert left(registry) == []
    assert not [path for path in server.paths("GET") if "evil" in path or "other" in path or ".bin" in path]
    assert pulled(registry, hub).version == "1.0.0"


def test_main_is_taken_when_no_revision_is_named(server: FakeHub, hub: Hub, registry: Registry, files: Files) -> None:
    repo = server.repo(REPO, files)
    assert pulled(registry, hub, None).source == f"hf:{REPO}@{repo.head}"


def test_a_version_can_be_renamed(server: FakeHub, hub: Hub, registry: Registry, files: Files) -> None:
    server.repo(REPO, files)
    assert pulled(registry, hub, version="3.1.4").version == "3.1.4"
    assert pulled(registry, hub, version="3.1.5").version == "3.1.5"


def test_the_token_goes_to_the_hub_and_not_to_its_storage(
    server: FakeHub, hub: Hub, registry: Registry, files: Files, token: str
) -> None:
    server.repo(REPO, files, private=True)
    pulled(registry, hub)
    stored = hashlib.sha256(files["model.safetensors"]).hexdigest()
    sent = {path: "authorization" in headers for _, path, headers in server.requests}
    assert sent.pop(f"/{stored}") is False
    assert all(sent.values())


def test_a_cut_connection_goes_on_where_it_stopped(
    server: FakeHub, hub: Hub, registry: Registry, files: Files, naps: list[float]
) -> None:
    server.repo(REPO, files)
    weights = files["model.safetensors"]
    stored = f"/{hashlib.sha256(weights).hexdigest()}"
    third = len(weights) // 3
    server.fail(f"GET {stored}", cut=third)
    server.fail(f"GET {stored}", cut=third)
    assert pulled(registry, hub).version == "1.0.0"
    starts = [headers.get("range") for _, path, headers in server.requests if path == stored]
    assert starts == [None, f"bytes={third}-", f"bytes={2 * third}-"]
    assert naps == [1.0, 1.0]


def test_a_later_pull_goes_on_where_an_earlier_one_gave_up(
    server: FakeHub, hub: Hub, registry: Registry, files: Files
) -> None:
    server.repo(REPO, files)
    weights = files["model.safetensors"]
    stored = f"/{hashlib.sha256(weights).hexdigest()}"
    half = len(weights) // 2
    server.fail(f"GET {stored}", cut=half)
    server.fail(f"GET {stored}", times=9, status=503)
    refused(registry, hub, r"problem of its own \(HTTP 503\).*run this again")
    assert left(registry) == ["README.md", "model.json", "model.safetensors.part", "model_card.json"]
    server.faults.clear()
    seen: list[tuple[str, int, int]] = []
    assert pulled(registry, hub, progress=lambda *step: seen.append(step)).version == "1.0.0"
    assert seen[0] == ("fetching", half, len(weights))
    assert server.requests[-1][2]["range"] == f"bytes={half}-"
    assert left(registry) == []


def test_a_hub_without_ranges_starts_the_file_anew(server: FakeHub, hub: Hub, registry: Registry, files: Files) -> None:
    server.repo(REPO, files)
    server.ranges = False
    server.fail("GET /[0-9a-f]{64}", cut=1000)
    seen: list[tuple[str, int, int]] = []
    pulled(registry, hub, progress=lambda *step: seen.append(step))
    fetched = [done for stage, done, _ in seen if stage == "fetching"]
    assert fetched[-1] == len(files["model.safetensors"])


def test_parts_of_an_older_commit_are_forgotten(server: FakeHub, hub: Hub, registry: Registry, files: Files) -> None:
    repo = server.repo(REPO, files)
    server.fail("GET /[0-9a-f]{64}", cut=1000)
    server.fail("GET /[0-9a-f]{64}", times=9, status=500)
    refused(registry, hub, "HTTP 500")
    server.faults.clear()
    repo.tags["v1.0.1"] = repo.commit({**files, "README.md": b"# newer\n"})
    pulled(registry, hub, "v1.0.1")
    assert left(registry) == []


def test_too_many_requests_are_waited_out_as_long_as_the_hub_asks(
    server: FakeHub, hub: Hub, registry: Registry, files: Files, naps: list[float]
) -> None:
    server.repo(REPO, files)
    server.fail("GET /api/models", status=429, headers={"retry-after": "7"})
    server.fail("GET /api/models", status=429, headers={"ratelimit": '"api";r=0;t=11'})
    server.fail("resolve/.*model.json", status=429)
    pulled(registry, hub)
    assert naps == [7.0, 11.0, 1.0]
    server.fail("GET /api/models", status=429, headers={"retry-after": "900"})
    with pytest.raises(OperatorError, match="limits how often it is asked: run this again in 900 s"):
        pulled(registry, hub)


@pytest.mark.parametrize(
    ("status", "headers", "says"),
    [
        (401, {}, "does not exist or is private: check the name; if it is private, log in"),
        (403, {}, "token may not do this"),
        (403, {"x-error-code": "GatedRepo"}, "is gated: accept its terms"),
        (403, {"x-error-message": "Access to this resource is disabled."}, "was disabled"),
        (404, {"x-error-code": "RepoNotFound"}, "does not exist or is private"),
        (404, {"x-error-code": "RevisionNotFound"}, "no such tag, branch or commit"),
        (404, {}, "was not found on"),
        (400, {}, r"refuses .*HTTP 400: injected"),
        (500, {}, r"problem of its own \(HTTP 500\)"),
        (504, {}, r"problem of its own \(HTTP 504\)"),
        (200, {"content-type": "text/html"}, "no sensible answer"),
    ],
)
def test_each_refusal_is_one_sentence(
    server: FakeHub, hub: Hub, registry: Registry, files: Files, status: int, headers: dict[str, str], says: str
) -> None:
    server.repo(REPO, files)
    body = b"<html>not a hub</html>" if status == 200 else b'{"error": "injected"}'
    server.fail("GET /api/models", times=9, status=status, headers=headers, body=body)
    refused(registry, hub, says)


def test_a_wrong_token_is_told_from_a_missing_repository(
    server: FakeHub, hub: Hub, registry: Registry, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.repo(REPO, files)
    monkeypatch.setenv("HF_TOKEN", "hf_wrongwrongwrong")
    refused(registry, hub, "does not accept the token for .*: log in with `hf auth login`, or set HF_TOKEN")


def test_a_revision_that_does_not_exist(server: FakeHub, hub: Hub, registry: Registry, files: Files) -> None:
    server.repo(REPO, files)
    refused(registry, hub, "miner/roadwork@v9.9.9 does not exist: the repository has no such tag", revision="v9.9.9")


def test_a_hub_that_is_not_there(registry: Registry, naps: list[float]) -> None:
    refused(registry, Hub("http://127.0.0.1:1", sleep=naps.append), "cannot be reached for .*check the network")
    assert naps == [1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize("endpoint", ["not a url", "ftp://127.0.0.1", "http://127.0.0.1:99999", "http://[::"])
def test_an_endpoint_that_is_none(registry: Registry, endpoint: str) -> None:
    refused(registry, Hub(endpoint, attempts=1), "check .*HF_ENDPOINT")


def test_a_login_that_fails_is_a_sentence(hub: Hub, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise errors.DeviceCodeError("refresh was refused")

    monkeypatch.setattr("huggingface_hub.utils._headers.get_token", broken)
    refused(registry, hub, r"login does not work \(refresh was refused\)")
    with pytest.raises(OperatorError, match="login does not work"):
        hub.has_token()


def test_a_hub_that_hangs(server: FakeHub, registry: Registry, files: Files) -> None:
    server.repo(REPO, files)
    server.fail("GET", times=9, status=200, hang=20.0)
    hub = Hub(server.endpoint, read_s=0.2, attempts=2, sleep=lambda _: None)
    refused(registry, hub, "did not answer in time")
    server.released.set()


def test_offline_mode_is_named(
    hub: Hub, registry: Registry, naps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused(registry, hub, "HF_HUB_OFFLINE is set")
    assert naps == []


def test_a_full_disk_is_seen_before_the_download(
    server: FakeHub, hub: Hub, registry: Registry, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.repo(REPO, files)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("streetvision.hub.pull.shutil.disk_usage", lambda _: usage(1, 1, 1000))
    refused(registry, hub, "needs .* more but the disk has 1000 bytes free")
    assert not [path for path in server.paths("GET") if path.count("/") == 1]


def test_a_disk_that_fills_up_meanwhile(
    server: FakeHub, hub: Hub, registry: Registry, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.repo(REPO, files)

    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("streetvision.hub.client._write_bounded", no_space)
    refused(registry, hub, "does not fit on the disk: free some space and run this again")


def test_a_folder_that_cannot_be_written_is_a_sentence(
    server: FakeHub, hub: Hub, registry: Registry, files: Files
) -> None:
    server.repo(REPO, files)
    registry.folder.mkdir(parents=True)
    (registry.folder / "pulls").write_text("in the way")
    refused(registry, hub, r"Pulling miner/roadwork@v1\.0\.0 failed: .*pulls")


def test_a_mistake_of_our_own_is_not_blamed_on_the_hub(
    server: FakeHub, hub: Hub, registry: Registry, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.repo(REPO, files)

    def mistaken(*_: object, **__: object) -> None:
        raise KeyError("bug")

    monkeypatch.setattr(registry, "add", mistaken)
    with pytest.raises(KeyError, match="bug"):
        pulled(registry, hub)


def test_a_pull_in_progress_keeps_others_out(server: FakeHub, hub: Hub, registry: Registry, files: Files) -> None:
    from streetvision.base.disk import exclusive

    server.repo(REPO, files)
    with exclusive(registry.folder / "pulls" / "miner--roadwork"):
        refused(registry, hub, "Another streetvision command")
