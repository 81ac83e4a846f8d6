"""Publishing: what would go, what goes, what is refused; and what the public then finds."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streetvision.errors import OperatorError
from streetvision.hub.client import Hub
from streetvision.hub.public_view import published
from streetvision.hub.publish import PublishPlan, publish
from streetvision.hub.pull import pull
from streetvision.models.ensemble import EnsembleConfig, Member
from streetvision.models.router import RouterConfig
from streetvision.models.versions import ModelVersion
from streetvision.registry.registry import Registry
from streetvision.subnet import PAY_WINDOW, PayWindow

from .fake_hub import ALICE, BOB, FakeHub

REPO = "miner/roadwork"
NOW = 1_790_000_000.0

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
"""huggingface_hub's own upload of large files."""


@pytest.fixture
def version(registry: Registry, model_folder: Path) -> ModelVersion:
    return registry.add_folder(model_folder, source="here")


def go(version: ModelVersion, hub: Hub, **options: Any) -> PublishPlan:
    settings: dict[str, Any] = {"hotkey": ALICE, "dry_run": False, "now": lambda: NOW, **options}
    return publish(version, REPO, hub=hub, **settings)


def test_a_dry_run_shows_all_and_sends_nothing(server: FakeHub, hub: Hub, version: ModelVersion) -> None:
    plan = go(version, hub, dry_run=True, description="Finds roadwork.")
    assert (plan.tag, plan.creates, plan.commit) == ("v1.0.0", True, None)
    assert [file.path for file in plan.files] == ["model.json", "model.safetensors", "model_card.json", "README.md"]
    assert plan.card == {
        "model_name": "roadwork-tiny",
        "description": "Finds roadwork.",
        "version": "1.0.0",
        "submitted_by": ALICE,
        "submission_time": int(NOW),
    }
    assert "at 224 x 224 pixels" in plan.readme
    assert any("no Hugging Face token yet" in note for note in plan.notes)
    assert {method for method, _, _ in server.requests} == {"GET"}
    assert server.repos == {}
    assert json.loads(json.dumps(plan.as_dict()))["dry_run"] is True


def test_a_dry_run_goes_on_without_a_hub(version: ModelVersion) -> None:
    plan = go(version, Hub("http://127.0.0.1:1", attempts=1), dry_run=True)
    assert plan.creates is None
    assert any("could not be looked at" in note for note in plan.notes)


def test_what_goes_up_is_what_the_dry_run_said_and_can_be_pulled(
    server: FakeHub, hub: Hub, version: ModelVersion, token: str, tmp_path: Path, registry: Registry
) -> None:
    planned = go(version, hub, dry_run=True)
    done = go(version, hub)
    assert replace(done, commit=None, url="") == planned
    repo = server.repos[REPO]
    assert not repo.private
    assert repo.tags == {"v1.0.0": done.commit}
    assert done.url == f"{server.endpoint}/{REPO}/tree/v1.0.0"
    uploaded = {path: data for path, data in repo.files.items() if path != ".gitattributes"}
    assert {path: (len(data), hashlib.sha256(data).hexdigest()) for path, data in uploaded.items()} == {
        file.path: (file.size, file.sha256) for file in done.files
    }
    assert json.loads(uploaded["model_card.json"]) == done.card
    other = Registry(tmp_path / "other", examine=registry._examine)
    said: list[str] = []
    found = pull(REPO, "v1.0.0", other, hub=hub, hotkey=ALICE, warn=said.append, now=lambda: NOW)
    assert (found.folder / "model.safetensors").read_bytes() == (version.folder / "model.safetensors").read_bytes()
    assert said == []
    assert published(REPO, ALICE, now=NOW, hub=Hub(server.endpoint, anonymous=True)).findings == ()


def test_a_tag_is_never_overwritten(server: FakeHub, hub: Hub, version: ModelVersion, token: str) -> None:
    first = go(version, hub)
    for dry_run in (True, False):
        with pytest.raises(OperatorError, match=r"has a tag v1\.0\.0 already, and a tag is never overwritten"):
            go(version, hub, dry_run=dry_run)
    assert server.repos[REPO].head == first.commit


def test_a_tag_that_appears_meanwhile_is_not_overwritten(
    server: FakeHub, hub: Hub, version: ModelVersion, token: str
) -> None:
    server.repo(REPO, {"README.md": b"x"})
    server.fail(
        "GET /api/models/miner/roadwork/revision/v1.0.0", status=404, headers={"x-error-code": "RevisionNotFound"}
    )
    old = dict(server.repos[REPO].tags)
    with pytest.raises(OperatorError, match=r"The files are in .* but the tag v1\.0\.0 is not.*never overwritten"):
        go(version, hub)
    assert server.repos[REPO].tags == old


def test_a_tag_whose_answer_got_lost_is_recognised(
    server: FakeHub, hub: Hub, version: ModelVersion, token: str
) -> None:
    class Forgetful(Hub):
        def tag(self, repo: str, tag: str, commit: str, message: str) -> None:
            server.repos[repo].tags[tag] = commit
            super().tag(repo, tag, commit, message)

    done = go(version, Forgetful(server.endpoint, sleep=lambda _: None))
    assert server.repos[REPO].tags["v1.0.0"] == done.commit


def test_a_failed_tag_can_be_tried_again(server: FakeHub, hub: Hub, version: ModelVersion, token: str) -> None:
    server.fail("POST .*/tag/", times=9, status=503)
    with pytest.raises(OperatorError, match="run the same command again"):
        go(version, hub)
    server.faults.clear()
    later = go(version, hub, now=lambda: NOW + 60)
    assert server.repos[REPO].tags["v1.0.0"] == later.commit


def test_an_unfinished_upload_leaves_no_tag(server: FakeHub, hub: Hub, version: ModelVersion, token: str) -> None:
    server.fail(f"PUT /{hashlib.sha256((version.folder / 'model.safetensors').read_bytes()).hexdigest()}", status=403)
    with pytest.raises(OperatorError, match="token may not do this") as caught:
        go(version, hub)
    assert "\n" not in str(caught.value)
    assert server.repos[REPO].tags == {}
    assert go(version, hub).commit == server.repos[REPO].tags["v1.0.0"]


def test_a_change_by_somebody_else_meanwhile_is_not_overrun(
    server: FakeHub, hub: Hub, version: ModelVersion, token: str
) -> None:
    server.repo(REPO, {"README.md": b"x"}, tag="v0.1.0")
    server.fail("POST .*/commit/main", status=412)
    with pytest.raises(OperatorError, match="was changed by somebody else meanwhile"):
        go(version, hub)


@pytest.mark.parametrize(
    ("line", "status", "says"),
    [
        ("POST /api/repos/create", 403, "token may not do this with miner/roadwork: make one with write access"),
        ("POST /api/repos/create", 402, "wants a payment"),
        ("POST .*/commit/main", 403, "token may not do this"),
        ("POST .*/commit/main", 500, "problem of its own"),
        ("POST .*/preupload/main", 403, "token may not do this"),
        ("POST .*/tag/", 403, "The files are in"),
    ],
)
def test_each_refusal_is_one_sentence(
    server: FakeHub, hub: Hub, version: ModelVersion, token: str, line: str, status: int, says: str
) -> None:
    server.fail(line, times=9, status=status)
    with pytest.raises(OperatorError, match=says) as caught:
        go(version, hub)
    assert "\n" not in str(caught.value)
    assert token not in str(caught.value)


def test_no_token_and_a_wrong_one(
    server: FakeHub, hub: Hub, version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OperatorError, match="needs a Hugging Face token with write access: log in"):
        go(version, hub)
    assert server.requests == []
    monkeypatch.setenv("HF_TOKEN", "hf_expiredexpired")
    with pytest.raises(OperatorError, match="does not accept the token"):
        go(version, hub)


def test_the_token_is_in_no_message_even_if_the_hub_echoes_it(
    server: FakeHub, hub: Hub, version: ModelVersion, token: str
) -> None:
    server.fail("POST .*/commit/main", status=409, body=json.dumps({"error": f"bad {token} x"}).encode())
    with pytest.raises(OperatorError, match=r"bad \*\*\* x") as caught:
        go(version, hub)
    assert token not in str(caught.value)


def test_what_may_not_be_published(registry: Registry, hub: Hub, version: ModelVersion, token: str) -> None:
    cases = {
        "never seen real roadwork": registry.get("bundled"),
        "may not serve, so it is not published: it is bad": replace(version, servable=False, why_not="it is bad"),
        "is not X.Y.Z": replace(version, version="1.0.0-rc1"),
    }
    for says, wrong in cases.items():
        with pytest.raises(OperatorError, match=says):
            go(wrong, hub)
    with pytest.raises(OperatorError, match="describes nothing: say what it is with --description"):
        go(replace(version, card={}), hub)
    with pytest.raises(OperatorError, match="no licence identifier"):
        go(version, hub, license="x\nlicense: mit")
    with pytest.raises(OperatorError, match="submitted_by must be a hotkey"):
        go(version, hub, hotkey="5Me")
    with pytest.raises(OperatorError, match="is no Hugging Face repository"):
        publish(version, "roadwork", hotkey=ALICE, hub=hub)


def test_damaged_weights_are_not_published(hub: Hub, version: ModelVersion, token: str, server: FakeHub) -> None:
    with (version.folder / "model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(OperatorError, match=r"is not what model\.json describes: it is not published"):
        go(version, hub)
    assert server.requests == []


def test_a_file_that_the_repository_ignores_stops_the_tag(
    server: FakeHub, hub: Hub, version: ModelVersion, token: str
) -> None:
    server.repo(REPO, {".gitignore": b"model.json"}, tag="v0.9.0")
    server.ignored = {"model.json"}
    with pytest.raises(OperatorError, match=r"did not take model\.json .* so the tag v1\.0\.0 is not set"):
        go(version, hub)
    assert "v1.0.0" not in server.repos[REPO].tags


def test_a_new_repository_that_came_out_private_is_told(
    server: FakeHub, hub: Hub, version: ModelVersion, token: str
) -> None:
    server.always_private = True
    assert any("is private and the subnet wants it public" in note for note in go(version, hub).notes)


def test_leftovers_go_and_the_operators_own_files_stay(
    server: FakeHub, hub: Hub, version: ModelVersion, token: str
) -> None:
    old = {"ensemble.json": b"{}", "a/model.json": b"{}", "a/model.safetensors": b"x" * 3000, "LICENSE": b"mine"}
    server.repo(REPO, {**old, "photo.jpg": b"mine", "notes/model.md": b"mine"}, tag="v0.9.0")
    done = go(version, hub)
    assert done.removes == ("a/model.json", "a/model.safetensors", "ensemble.json")
    assert {"LICENSE", "photo.jpg", "notes/model.md", ".gitattributes"} < set(server.repos[REPO].files)
    assert not {"ensemble.json", "a/model.json", "a/model.safetensors"} & set(server.repos[REPO].files)


def test_an_operator_is_warned(server: FakeHub, hub: Hub, version: ModelVersion, token: str) -> None:
    card = {"model_name": "x", "submitted_by": BOB}
    server.repo(REPO, {"model_card.json": json.dumps(card).encode()}, tag="v0.9.0", private=True)
    old = replace(version, created="2026-01-01T00:00:00+00:00")
    notes = " / ".join(go(old, hub, dry_run=True).notes)
    assert "is private and the subnet wants it public" in notes
    assert f"names another hotkey, '{BOB}'" in notes
    assert "was made 264 days ago" in notes
    server.repos[REPO].files["model_card.json"] = b"{"
    assert any("the present card will be replaced" in note for note in go(old, hub, dry_run=True).notes)


def test_an_ensemble_takes_its_members_along(
    server: FakeHub, hub: Hub, registry: Registry, version: ModelVersion, model_folder: Path, tmp_path: Path, token: str
) -> None:
    sha256 = hashlib.sha256((model_folder / "model.safetensors").read_bytes()).hexdigest()
    home = registry.folder / "versions" / "2.0.0"
    (home / "own").mkdir(parents=True)
    for name in ("model.json", "model.safetensors"):
        (home / "own" / name).write_bytes((model_folder / name).read_bytes())
    members = (Member(sha256, version="1.0.0", weight=2.0), Member(sha256, folder="own"))
    ensemble = EnsembleConfig("two", "2.0.0", members, card={"what": "Two together."})
    (home / "ensemble.json").write_text(ensemble.to_json())
    made = ModelVersion("2.0.0", "two", home, sha256, "here", "", True, None, "", card=ensemble.card, kind="ensemble")
    done = go(made, hub)
    went = server.repos[REPO].files
    assert {"members/1.0.0/model.safetensors", "own/model.safetensors"} < set(went)
    alone = EnsembleConfig.from_json(went["ensemble.json"].decode())
    assert [str(member) for member in alone.members] == ["members/1.0.0", "own"]
    assert alone.members[0].weight == 2.0
    assert done.tag == "v2.0.0"
    assert "| member 1.0.0 | vit\\_small" in done.readme
    assert "weight 2 |" in done.readme
    (home / "router.safetensors").write_bytes(b"distances")
    router = RouterConfig(distance=1.0, sha256=hashlib.sha256(b"distances").hexdigest())
    (home / "ensemble.json").write_text(replace(ensemble, router=router).to_json())
    assert (
        "| router | the second member is asked where its embedding is 1 or more"
        in go(replace(made, version="2.0.1"), hub).readme
    )
    assert server.repos[REPO].files["router.safetensors"] == b"distances"
    members = (replace(members[0], sha256="0" * 64), members[1])
    (home / "ensemble.json").write_text(replace(ensemble, members=members).to_json())
    with pytest.raises(OperatorError, match="is not published"):
        go(made, hub, dry_run=True)


def look(server: FakeHub, hotkey: str = ALICE, now: float = NOW, window: PayWindow = PAY_WINDOW) -> dict[str, str]:
    hub = Hub(server.endpoint, anonymous=True, attempts=2, sleep=lambda _: None)
    return {
        finding.code: finding.title for finding in published(REPO, hotkey, now=now, hub=hub, window=window).findings
    }


def test_the_monitor_sees_what_a_validator_sees(server: FakeHub, files: dict[str, bytes], token: str) -> None:
    assert "nobody can read" in look(server)["card_missing"]
    repo = server.repo(REPO, files)
    assert look(server) == {}
    assert f"not by this miner's hotkey {BOB}" in look(server, BOB)["card_foreign"]
    assert look(server, now=NOW + 34.9 * 86_400) == {}
    assert "35 days old, 10 days before" in look(server, now=NOW + 35 * 86_400)["card_stale"]
    assert "past the 45 days" in look(server, now=NOW + 80 * 86_400)["card_stale"]
    assert look(server, now=NOW + 79.9 * 86_400, window=PayWindow(90.0, 90.0)) == {}
    assert "80 days old" in look(server, now=NOW + 80 * 86_400, window=PayWindow(90.0, 90.0))["card_stale"]
    repo.private = True
    assert list(look(server)) == ["card_missing"]
    repo.private = False
    assert not any("authorization" in headers for _, _, headers in server.requests)


@pytest.mark.parametrize(
    ("card", "codes"),
    [
        (None, ["card_missing"]),
        (b"{", ["card_wrong"]),
        (b"[]", ["card_wrong", "card_foreign"]),
        (b"x" * 70_000, ["card_wrong"]),
        (b'{"submitted_by": "%s"}' % ALICE.encode(), ["card_wrong"]),
    ],
)
def test_a_wrong_card_is_a_finding(
    server: FakeHub, files: dict[str, bytes], card: bytes | None, codes: list[str]
) -> None:
    rest = {name: data for name, data in files.items() if name != "model_card.json"}
    server.repo(REPO, rest if card is None else {**rest, "model_card.json": card})
    assert list(look(server)) == codes


def test_trouble_on_the_way_is_not_the_cards_fault(server: FakeHub, files: dict[str, bytes]) -> None:
    server.repo(REPO, files)
    server.fail("GET", times=2, status=503)
    assert list(look(server)) == ["card_unreachable"]
    server.fail("GET", times=2, status=429)
    assert list(look(server)) == ["card_unreachable"]


def test_two_threads_may_use_one_hub(server: FakeHub, hub: Hub, version: ModelVersion, token: str) -> None:
    server.repo(REPO, {"README.md": b"x"}, tag="v0.1.0")
    plans: list[PublishPlan] = []
    threads = [threading.Thread(target=lambda: plans.append(go(version, hub, dry_run=True))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [plan.tag for plan in plans] == ["v1.0.0"] * 4
