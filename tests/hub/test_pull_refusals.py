"""What a pull does not take: names that lead astray, files that are no model, bytes that are not what was promised."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from streetvision.errors import OperatorError
from streetvision.hub.client import Hub
from streetvision.hub.files import GIB, RemoteFile, RepoRef, choose, parse_ref
from streetvision.hub.pull import fetch
from streetvision.models.checks import CheckpointError
from streetvision.models.ensemble import EnsembleConfig, Member
from streetvision.models.versions import ModelVersion
from streetvision.registry.registry import Registry

from .fake_hub import FakeHub
from .pulling import REPO, Files, left, pulled, refused


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "..", "a/../../model.json", "model.json/../x"])
def test_names_that_lead_out_of_the_folder_are_never_fetched(
    server: FakeHub, hub: Hub, registry: Registry, files: Files, name: str, tmp_path: Path
) -> None:
    server.repo(REPO, {**files, name: b"boo" * 1000})
    pulled(registry, hub)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == b"boo" * 1000]


def test_a_hub_that_names_no_commit_cannot_choose_a_folder(
    server: FakeHub, hub: Hub, registry: Registry, files: Files
) -> None:
    server.repo(REPO, files)
    server.lie = lambda answer: answer.update(sha="../../../../tmp/x")
    refused(registry, hub, "names no commit")

    def hide_sizes(answer: dict[str, Any]) -> None:
        for item in answer["siblings"]:
            del item["size"]

    server.lie = hide_sizes
    refused(registry, hub, "does not say how large")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"pytorch_model.bin": b"x"}, "pickled weights .*can run code"),
        ({"weights.ckpt": b"x", "README.md": b"x"}, "pickled weights"),
        ({"README.md": b"x"}, "holds no model"),
        ({"model.safetensors": b"x"}, "weights but neither model.json nor config.json"),
        ({"model-00001-of-2.safetensors": b"x", "model.safetensors.index.json": b"{}"}, "weights in pieces"),
        ({"model.json": b"{}", "ensemble.json": b"{}"}, "which of them is the model is unclear"),
        ({"model.json": b"x" * 2_000_000, "model.safetensors": b"x"}, "more than a description can have"),
        ({"model.json": b"x", "model.safetensors": b"x", "model_card.json": b"x" * 70_000}, "more than a description"),
        ({"model.json": b"{", "model.safetensors": b"x" * 2000}, "model.json is not valid JSON"),
    ],
)
def test_what_is_no_model_is_refused_by_its_list_of_files(
    server: FakeHub, hub: Hub, registry: Registry, given: Files, says: str
) -> None:
    server.repo(REPO, given)
    refused(registry, hub, says)
    assert not [path for path in server.paths("GET") if path.count("/") == 1]


def test_a_huge_repository_is_refused_unless_allowed(
    server: FakeHub, hub: Hub, registry: Registry, files: Files
) -> None:
    server.repo(REPO, files)

    def lie(answer: dict[str, Any]) -> None:
        weights = next(item for item in answer["siblings"] if item["rfilename"] == "model.safetensors")
        weights["size"] = weights["lfs"]["size"] = 40 * GIB

    server.lie = lie
    refused(registry, hub, r"holds 40\.0 GiB, above the limit of 16\.0 GiB: .*--max_gib")
    assert left(registry) == []


def test_more_bytes_than_listed_are_not_taken(server: FakeHub, hub: Hub, registry: Registry, files: Files) -> None:
    server.repo(REPO, files)

    def lie(answer: dict[str, Any]) -> None:
        next(item for item in answer["siblings"] if item["rfilename"] == "model.safetensors")["size"] = 2000

    server.lie = lie
    refused(registry, hub, "longer than the 2.0 KiB that the hub lists")


def test_weights_that_the_description_does_not_name_cost_no_download(
    server: FakeHub, hub: Hub, registry: Registry, files: Files
) -> None:
    weights = bytearray(files["model.safetensors"])
    weights[-1] ^= 1
    server.repo(REPO, {**files, "model.safetensors": bytes(weights)})
    refused(registry, hub, "do not belong together")
    assert not [path for path in server.paths("GET") if path.count("/") == 1]


def test_a_file_that_arrives_changed_is_refused_and_forgotten(
    server: FakeHub, hub: Hub, registry: Registry, files: Files
) -> None:
    server.repo(REPO, files)
    changed = bytearray(files["model.safetensors"])
    changed[-1] ^= 1
    name = hashlib.sha256(files["model.safetensors"]).hexdigest()
    server.fail(f"GET /{name}", status=200, body=bytes(changed))
    refused(registry, hub, "arrived with another hash")
    assert "model.safetensors" not in " ".join(left(registry))
    server.fail("resolve/.*/model.json", status=200, body=files["model.json"].replace(b"tiny", b"tinz"))
    registry.folder.joinpath("pulls").rename(registry.folder / "elsewhere")
    refused(registry, hub, "model.json .* arrived with another hash")


def test_a_checkpoint_that_does_not_load_is_refused_and_forgotten(
    server: FakeHub, hub: Hub, registry: Registry, files: Files
) -> None:
    junk = b"j" * 5000
    text = json.loads(files["model.json"]) | {"sha256": hashlib.sha256(junk).hexdigest()}
    server.repo(REPO, {**files, "model.safetensors": junk, "model.json": json.dumps(text).encode()})
    refused(registry, hub, "not a valid safetensors file")
    assert left(registry) == []


def test_a_card_is_compared_and_never_stops_a_pull(server: FakeHub, hub: Hub, registry: Registry, files: Files) -> None:
    said: list[str] = []
    repo = server.repo(REPO, files)
    pulled(registry, hub, warn=said.append, hotkey="5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty")
    assert len(said) == 1
    assert "not this miner's hotkey" in said[0]
    said.clear()
    old = json.loads(files["model_card.json"]) | {"submission_time": 1_780_000_000}
    for number, card in enumerate((json.dumps(old).encode(), b"{", None)):
        rest = {name: data for name, data in files.items() if name != "model_card.json"}
        repo.tags[f"v2.0.{number}"] = repo.commit(rest if card is None else {**rest, "model_card.json": card})
        pulled(registry, hub, f"v2.0.{number}", version=f"2.0.{number}", warn=said.append)
    assert ["116 days ago" in said[0], "not valid JSON" in said[1], "there is no model_card.json" in said[2]] == [
        True
    ] * 3


def test_an_ensemble_comes_with_the_members_that_it_names(
    server: FakeHub, hub: Hub, tmp_path: Path, model_folder: Path
) -> None:
    member = {path.name: path.read_bytes() for path in model_folder.iterdir()}
    sha256 = hashlib.sha256(member["model.safetensors"]).hexdigest()
    ensemble = EnsembleConfig("two", "2.0.0", (Member(sha256, folder="a"), Member(sha256, folder="members/b")))
    given = {"ensemble.json": ensemble.to_json().encode(), "router.safetensors": b"x" * 2_000_000}
    for folder in ("a", "members/b", "c"):
        given |= {f"{folder}/{name}": data for name, data in member.items()}
    server.repo(REPO, {**given, "a/evil.py": b"x", "a/b/c/model.json": b"{}"})
    found = fetch(RepoRef(REPO), tmp_path / "place", hub=hub)
    assert found.kind == "ensemble"
    there = {path.relative_to(found.folder).as_posix() for path in found.folder.rglob("*") if path.is_file()}
    assert {"a/model.safetensors", "members/b/model.safetensors", "ensemble.json", "router.safetensors"} <= there
    assert not [path for path in there if "evil" in path or path.startswith("a/b") or path == "c/model.safetensors"]


def test_a_transformers_classifier_is_recognised(server: FakeHub, hub: Hub, tmp_path: Path) -> None:
    server.repo(REPO, {"config.json": b"{}", "preprocessor_config.json": b"{}", "model.safetensors": b"x" * 3000})
    found = fetch(RepoRef(REPO, "v1.0.0"), tmp_path, hub=hub)
    assert found.kind == "transformers"
    assert sorted(path.name for path in found.folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    ]


def test_references_are_read_and_odd_ones_refused() -> None:
    for text in ("a/b@v1.0.0", "hf:a/b@v1.0.0", "https://huggingface.co/a/b/tree/v1.0.0"):
        assert parse_ref(text) == RepoRef("a/b", "v1.0.0")
    assert parse_ref("https://huggingface.co/a/b/") == RepoRef("a/b", "main")
    for text in ("", "a", "a/b/c", "../b", "a/..", "a/b@", "a/b@../x", "a/b@x y", "a--b/c", "a/b.git", "a/b@\n", "~/b"):
        with pytest.raises(OperatorError, match="is no "):
            parse_ref(text)


def test_no_more_sets_of_weights_than_an_ensemble_can_have() -> None:
    listing = [RemoteFile("ensemble.json", 10)]
    listing += [RemoteFile(f"m{n}/{name}", 10) for n in range(99) for name in ("model.json", "model.safetensors")]
    with pytest.raises(OperatorError, match="more than 8 sets of weights"):
        choose(listing, REPO)


def test_a_classifier_goes_through_the_converter(
    server: FakeHub, hub: Hub, registry: Registry, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []

    def converter(folder: Path, to: Registry, **options: Any) -> ModelVersion:
        given.append(options)
        if not options["positive"]:
            raise CheckpointError("Which of its labels mean roadwork? Say so with --positive.")
        assert (folder / "config.json").is_file()
        return to.add_folder(model_folder, source=options["source"], version=options["version"])

    monkeypatch.setattr("streetvision.hub.pull.add_classifier", converter)
    repo = server.repo(REPO, {"config.json": b"{}", "model.safetensors": b"x" * 3000}, tag="v1.4.0")
    refused(registry, hub, "Say so with --positive", revision="v1.4.0")
    fetched = len(server.requests)
    found = pulled(registry, hub, "v1.4.0", positive=["LABEL_1"])
    assert (found.version, found.source) == ("1.4.0", f"hf:{REPO}@{repo.head}")
    assert given[-1]["positive"] == ["LABEL_1"]
    assert len(server.requests) == fetched + 1
    assert left(registry) == []
    assert pulled(registry, hub, "main", version="1.5.0", positive=["LABEL_1"]).version == "1.5.0"


def test_positive_labels_belong_to_classifiers(server: FakeHub, hub: Hub, registry: Registry, files: Files) -> None:
    server.repo(REPO, files)
    refused(registry, hub, "--positive belongs to a transformers classifier", positive=["a"])
