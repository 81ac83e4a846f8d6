"""Image sets on the hub, streamed from a fake one over HTTP on loopback."""

from __future__ import annotations

import json
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from streetvision.errors import OperatorError
from streetvision.hub.client import Hub
from streetvision.hub.files import RepoRef
from streetvision.sources.adding import add
from streetvision.sources.hub import ROADWORK, Columns, HubSource
from streetvision.sources.labels import LabelWords, words
from streetvision.sources.source import Item, SourceError, SourcePicture, Unusable
from streetvision.sources.store import writing

from ..hub.fake_hub import TOKEN, FakeHub
from .pictures import jpeg

Rows = list[dict[str, Any]]


def row(seed: int, label: object, **more: Any) -> dict[str, Any]:
    return {"image": {"bytes": jpeg(seed), "path": f"{seed}.jpg"}, "label": label, **more}


def packed(rows: Rows, *, classes: list[str] | None = None, group: int = 4, by: str = "none") -> bytes:
    table = pa.Table.from_pylist(rows)
    if classes:
        feature = {"info": {"features": {"label": {"names": classes, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(feature)})
    buffer = BytesIO()
    parquet.write_table(table, buffer, row_group_size=group, compression=by)
    return buffer.getvalue()


def twelve() -> dict[str, bytes]:
    return {
        "README.md": b"# pictures",
        "data/train-00000-of-00002.parquet": packed([row(n, n % 2) for n in range(8)]),
        "data/train-00001-of-00002.parquet": packed([row(n, n % 2) for n in range(8, 12)]),
    }


def source(hub: Hub, name: str = "a/b", columns: Columns | None = None, labels: LabelWords | None = None) -> HubSource:
    return HubSource(hub, RepoRef(name, kind="dataset"), columns, labels or words())


def pictures(items: list[Item]) -> list[SourcePicture]:
    return [item for item in items if isinstance(item, SourcePicture)]


def test_rows_of_all_files_in_order_with_the_sets_licence(server: FakeHub, hub: Hub) -> None:
    repo = server.dataset("a/b", twelve(), labels=["license:cc-by-4.0"])
    found = source(hub)
    got = pictures(list(found.pictures()))
    assert found.name == f"hub:a/b@{repo.head[:12]}"
    assert [(one.data, one.label) for one in got] == [(jpeg(n), bool(n % 2)) for n in range(12)]
    assert {one.licence for one in got} == {"cc-by-4.0"}
    assert len({one.group for one in got}) == 12


def test_going_on_fetches_no_file_and_no_rows_before(
    server: FakeHub, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streetvision.sources.parquet._BUFFER_BYTES", 1024)
    server.dataset("a/b", twelve())
    found = source(hub)
    items = list(found.pictures())
    server.requests.clear()
    assert list(found.pictures(items[8].key)) == items[9:]
    assert not [path for path in server.paths("GET") if "train-00000" in path]
    server.requests.clear()
    assert next(found.pictures(items[4].key)) == items[5]
    fetched = [headers["range"] for _, path, headers in server.requests if "resolve" in path]
    assert fetched
    assert not any(request == "bytes=4-" for request in fetched)
    assert list(found.pictures(items[-1].key)) == []


def test_the_subnets_set_is_grouped_by_drive_or_place(server: FakeHub, hub: Hub) -> None:
    tags = {"daytime": "Light", "weather": ["Sunny", "Wet"]}
    some = {"city_name": "boston", "scene_level_tags": tags, "gps": "[42.35843, -71.05977]"}
    rows = [
        row(1, 1, **some, video_info={"vid_id": "9ed0"}),
        row(2, 0, **some | {"gps": "[42.35851, -71.05979]"}, video_info={"vid_id": None}),
        row(3, 0, **some, video_info={"vid_id": ""}),
        row(4, 0, city_name=None, scene_level_tags=None, gps=None, video_info=None),
    ]
    server.dataset(ROADWORK, {"data/train.parquet": packed(rows)})
    got = pictures(list(source(hub, ROADWORK).pictures()))
    alone = f"{ROADWORK}/data/train.parquet#000000003"
    assert [one.group for one in got] == ["boston/9ed0", "42.36/-71.06", "42.36/-71.06", alone]
    assert got[0].tags == {"city": "boston", "daytime": "Light", "weather": "Sunny, Wet"}
    assert got[3].tags == {}


def test_named_classes_and_columns(server: FakeHub, hub: Hub) -> None:
    rows = [{"picture": jpeg(n), "kind": {"id": n % 3}} for n in range(3)]
    server.dataset("a/b", {"x.parquet": packed(rows)})
    columns = Columns(image="picture", label="kind.id")
    got = pictures(list(source(hub, columns=columns, labels=words(["2"])).pictures()))
    assert [one.label for one in got] == [False, False, True]
    named = packed([row(n, n) for n in range(2)], classes=["Roadwork", "no"])
    server.dataset("a/c", {"x.parquet": named})
    assert [one.label for one in pictures(list(source(hub, "a/c").pictures()))] == [True, False]
    server.dataset("a/d", {"x.parquet": packed([row(0, 0)], classes=["cat", "dog"])})
    with pytest.raises(SourceError, match="it has cat, dog; name those that do with --positive"):
        list(source(hub, "a/d").pictures())


def test_rows_without_picture_or_label_are_counted(server: FakeHub, hub: Hub) -> None:
    rows = [row(0, 1), row(1, None), row(2, -1), {"image": {"bytes": None, "path": "x"}, "label": 0}]
    server.dataset("a/b", {"x.parquet": packed(rows)})
    items = list(source(hub).pictures())
    assert [item.reason for item in items if isinstance(item, Unusable)] == [
        "it has no label",
        "its label -1 is no class",
        "the row holds no picture",
    ]


def test_rows_that_unpack_to_far_more_are_not_unpacked(
    server: FakeHub, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streetvision.sources.parquet._UNPACKED_BYTES", 1 << 20)
    bomb = {"image": {"bytes": bytes(4 << 20), "path": "x"}, "label": 1}
    server.dataset("a/b", {"x.parquet": packed([bomb], by="zstd"), "y.parquet": packed([row(0, 1)])})
    bad, good = source(hub).pictures()
    assert isinstance(bad, Unusable)
    assert "its rows unpack to 4 MiB, which no pictures do" in bad.reason
    assert isinstance(good, SourcePicture)


def test_an_unknown_column_names_the_nearest(server: FakeHub, hub: Hub) -> None:
    server.dataset("a/b", {"x.parquet": packed([row(0, 1)])})
    with pytest.raises(SourceError, match=r"no column 'imgae': did you mean image\? Name yours with --image_column"):
        list(source(hub, columns=Columns(image="imgae")).pictures())


def test_a_half_broken_file_is_told_once_and_the_next_is_read(
    server: FakeHub, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streetvision.sources.parquet._BUFFER_BYTES", 1024)
    files = twelve()
    broken = bytearray(files["data/train-00000-of-00002.parquet"])
    broken[len(broken) // 2 : len(broken) // 2 + 4000] = bytes(4000)
    files["data/train-00000-of-00002.parquet"] = bytes(broken)
    files["data/train-00000a.parquet"] = b"<html>not found</html>" * 9
    server.dataset("a/b", files)
    items = list(source(hub).pictures())
    bad = [item for item in items if isinstance(item, Unusable)]
    assert [item.key.partition("#")[0] for item in bad][-1] == "data/train-00000a.parquet"
    assert all("Parquet file is damaged" in item.reason for item in bad)
    assert [one.data for one in pictures(items)][-4:] == [jpeg(n) for n in range(8, 12)]
    assert pictures(list(source(hub).pictures(bad[-1].key))) == pictures(items)[-4:]


def test_cut_and_failing_answers_are_asked_for_again(server: FakeHub, hub: Hub, naps: list[float]) -> None:
    server.dataset("a/b", twelve())
    server.fail("GET /datasets/a/b/resolve", times=2, status=503)
    server.fail(r"GET /[0-9a-f]{64}", times=2, cut=100)
    assert len(pictures(list(source(hub).pictures()))) == 12
    assert len(naps) == 4


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a/gone", "a/gone@main does not exist or is private"),
        ("a/empty", "holds no Parquet files"),
        ("a/gated", "is gated: accept its terms on its page"),
    ],
)
def test_a_set_that_cannot_be_had_is_one_sentence(server: FakeHub, hub: Hub, name: str, says: str) -> None:
    server.dataset("a/empty", {"README.md": b"nothing"})
    server.dataset("a/gated", twelve(), gated=True)
    with pytest.raises(OperatorError, match=says) as caught:
        list(source(hub, name).pictures())
    assert "\n" not in str(caught.value)


def test_a_gated_set_is_read_with_a_token(server: FakeHub, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    server.dataset("a/gated", twelve(), gated=True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert len(list(source(hub, "a/gated").pictures())) == 12


def test_a_hub_that_cannot_be_reached_is_one_sentence(naps: list[float]) -> None:
    with pytest.raises(OperatorError, match="cannot be reached"):
        source(Hub("http://127.0.0.1:9", sleep=naps.append))


def test_a_hub_that_hangs_is_one_sentence(server: FakeHub, naps: list[float]) -> None:
    server.dataset("a/b", twelve())
    slow = source(Hub(server.endpoint, attempts=2, read_s=0.1, sleep=naps.append))
    server.fail("GET /datasets/a/b/resolve", times=2, hang=0.4)
    with pytest.raises(OperatorError, match="did not answer in time about data/train-00000"):
        list(slow.pictures())
    assert naps == [1.0]


def test_a_hub_that_sends_whole_files_only_is_told(server: FakeHub, hub: Hub) -> None:
    server.dataset("a/b", twelve())
    server.ranges = False
    with pytest.raises(OperatorError, match="does not send parts of"):
        list(source(hub).pictures())


def test_a_hub_that_goes_away_half_way_loses_nothing(server: FakeHub, hub: Hub, tmp_path: Path) -> None:
    server.dataset("a/b", twelve())
    with writing(tmp_path / "d") as store:
        server.fail("train-00001", times=99, status=500)
        with pytest.raises(OperatorError, match=r"has a problem of its own \(HTTP 500\)"):
            add(source(hub), store)
        server.faults.clear()
        report = add(source(hub), store)
    assert report.complete
    assert report.new + report.known == 12


def test_few_rows_are_held_at_once(server: FakeHub, hub: Hub) -> None:
    server.dataset("a/b", {"x.parquet": packed([row(n, n % 2) for n in range(64)], group=64)})
    assert len(list(islice(source(hub).pictures(), 3))) == 3
