"""Pegasus and Marengo through botocore's own stub: bodies, answers, failures, costs."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import boto3
import numpy as np
import pytest
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber

from streetvision.errors import OperatorError
from streetvision.net.bedrock import ATTEMPTS, BadAnswer, Bedrock
from streetvision.settings.video import REGION, VideoSettings
from streetvision.video.clips import SHORTEST_S, clip_span, cut
from streetvision.video.marengo import nearest, read_vector
from streetvision.video.opening import open_video
from streetvision.video.pegasus import SCHEMA, read_answer
from streetvision.video.prompted import frames_to_embed, prompts
from streetvision.video.second_opinion import Account, clip_dollars, embed, judge, judge_named, unasked, unembedded
from streetvision.video.smoothing import Segment
from streetvision.video.spending import Spending

from .conftest import Scanned

SETTINGS = VideoSettings(twelvelabs=True)
SAID = {"roadwork": True, "certainty": 0.9, "objects": ["cones"], "reason": "Cones on the lane."}


def body(**fields: Any) -> dict[str, Any]:
    data = json.dumps(fields).encode()
    return {"body": StreamingBody(io.BytesIO(data), len(data)), "contentType": "application/json"}


def pegasus_says(**fields: Any) -> dict[str, Any]:
    return body(**{"message": json.dumps(SAID), "stopReason": "stop", **fields})


class Stub:
    """A client of Bedrock that answers as it is told, and keeps what it was sent."""

    def __init__(self, state: Path, budget: float | None = None) -> None:
        client = boto3.client(
            "bedrock-runtime", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )
        self.stubber, self.sent, self.waits = Stubber(client), list[dict[str, Any]](), list[float]()
        client.meta.events.register("provide-client-params.bedrock-runtime.InvokeModel", self._keep)
        spending = Spending(state, budget, lambda: datetime(2026, 11, 30, tzinfo=UTC))
        self.account = Account(Bedrock(client, REGION, self.waits.append), SETTINGS, spending)

    def _keep(self, params: dict[str, Any], **_: Any) -> None:
        self.sent.append(json.loads(params["body"]))

    def answers(self, model: str, response: dict[str, Any]) -> None:
        expected = {"modelId": model, "body": ANY, "contentType": ANY, "accept": ANY}
        self.stubber.add_response("invoke_model", response, expected)

    def fails(self, code: str, times: int = 1, words: str = "no") -> None:
        for _ in range(times):
            self.stubber.add_client_error("invoke_model", code, words)


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Stub]:
    made = Stub(tmp_path)
    with made.stubber:
        yield made


def asked(stub: Stub, scanned: Scanned, work: Callable[..., int] = judge, rest: Any = None) -> list[str]:
    heard: list[str] = []
    left = unasked(scanned.record, SETTINGS.pegasus, []) if rest is None else rest
    with open_video(scanned.path, exact=True) as reader:
        work(stub.account, reader, scanned.record, left, heard=heard.append, progress=lambda _: None)
    return heard


def test_segments_are_judged_once_and_paid_once(stub: Stub, scanned: Scanned) -> None:
    stub.answers(SETTINGS.pegasus, pegasus_says())
    stub.answers(SETTINGS.pegasus, pegasus_says(message=json.dumps({**SAID, "roadwork": False})))
    assert asked(stub, scanned) == []
    assert [one["roadwork"] for (one,) in scanned.record.opinions().values()] == [True, False]
    sent = stub.sent[0]
    assert (sent["temperature"], sent["responseFormat"]) == (0, {"jsonSchema": SCHEMA})
    with av.open(io.BytesIO(base64.b64decode(sent["mediaSource"]["base64String"])), "r") as clip:
        frames = [frame.to_ndarray(format="gray").mean() > 128 for frame in clip.decode(video=0)]
    assert len(frames) == pytest.approx(48, abs=4)
    assert np.mean(frames) > 0.85
    expected = sum(clip_dollars(one, 30.0, SETTINGS) for one in scanned.record.segments())
    assert stub.account.spending.of_the_month() == pytest.approx(expected, abs=1e-5)
    assert unasked(scanned.record, SETTINGS.pegasus, []) == []


def test_a_segment_is_chosen_by_its_number(scanned: Scanned) -> None:
    assert unasked(scanned.record, SETTINGS.pegasus, [2]) == scanned.record.segments()[1:]
    with pytest.raises(OperatorError, match="no segment 3"):
        unasked(scanned.record, SETTINGS.pegasus, [3])


def test_a_bad_answer_costs_one_clip_and_is_asked_again(stub: Stub, scanned: Scanned) -> None:
    stub.answers(SETTINGS.pegasus, pegasus_says(message="I think so"))
    stub.answers(SETTINGS.pegasus, pegasus_says())
    (sentence,) = asked(stub, scanned)
    assert "did not say whether" in sentence
    assert len(unasked(scanned.record, SETTINGS.pegasus, [])) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"message": json.dumps(SAID), "stopReason": "length"},
        {"message": json.dumps(SAID)[:-5], "finishReason": "length"},
        {"message": '{"roadwork": "yes"}'},
        {"message": None},
        {"message": "[" * 100_000},
        {},
    ],
)
def test_what_is_no_opinion_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer):
        read_answer("pegasus", answer)


def test_both_versions_stop_reasons_are_read() -> None:
    for key in ("stopReason", "finishReason"):
        assert read_answer("p", {"message": json.dumps(SAID), key: "stop"}) == SAID
    odd = read_answer("p", {"message": json.dumps({"roadwork": True, "certainty": 7, "objects": 3})})
    assert odd == {"roadwork": True, "certainty": None, "objects": [], "reason": ""}


def test_a_busy_service_is_waited_for_and_not_for_ever(stub: Stub, scanned: Scanned) -> None:
    stub.fails("ThrottlingException", 2)
    stub.answers(SETTINGS.pegasus, pegasus_says())
    stub.fails("ThrottlingException", ATTEMPTS)
    with pytest.raises(OperatorError, match="busy"):
        asked(stub, scanned)
    assert stub.waits == [2.0, 4.0, 2.0, 4.0, 8.0, 16.0]
    assert len(scanned.record.opinions()) == 1


@pytest.mark.parametrize(
    ("code", "words", "told"),
    [
        ("AccessDeniedException", "no", "ask for the model"),
        ("ExpiredTokenException", "no", "refuses the credentials"),
        ("ValidationException", "The provided model identifier is invalid.", "knows no model"),
        ("ModelErrorException", "boom", "refused a call"),
    ],
)
def test_failures_are_sentences_and_are_not_repeated(
    code: str, words: str, told: str, stub: Stub, scanned: Scanned
) -> None:
    stub.fails(code, words=words)
    with pytest.raises(OperatorError, match=told):
        asked(stub, scanned)
    assert stub.waits == []


def test_the_budget_ends_it_before_a_call(tmp_path: Path, scanned: Scanned) -> None:
    stub = Stub(tmp_path, budget=0.008)
    with stub.stubber:
        stub.answers(SETTINGS.pegasus, pegasus_says())
        with pytest.raises(OperatorError, match="raise VIDEO_BUDGET"):
            asked(stub, scanned)
    assert stub.account.spending.of_the_month() <= 0.008


def test_spending_counts_by_month_and_survives_a_torn_line(tmp_path: Path) -> None:
    now = [datetime(2026, 10, 31, tzinfo=UTC)]
    spending = Spending(tmp_path, 1.0, lambda: now[0])
    spending.count("a", 0.9)
    now[0] = datetime(2026, 11, 1, tzinfo=UTC)
    spending.count("b", 0.5)
    with spending.path.open("a") as file:
        file.write('{"at": "2026-11-')
    assert spending.of_the_month() == 0.5


def test_frames_are_embedded_once_and_found_by_words(stub: Stub, scanned: Scanned) -> None:
    times = unembedded(scanned.record, SETTINGS, 6.0)
    assert len(times) == 5
    for place in range(5):
        stub.answers(SETTINGS.marengo, body(data=[{"embedding": [float(place == 1), 1.0, 0.1 * place]}]))
    assert asked(stub, scanned, embed, times) == []
    assert set(stub.sent[0]) == {"inputType", "image"}
    assert unembedded(scanned.record, SETTINGS, 6.0) == []
    kept = [("a", *scanned.record.vectors(SETTINGS.marengo))]
    first, *others = nearest(np.array([1.0, 0.0, 0.0], np.float32), kept, 3)
    assert (first.uri, first.time) == ("a", times[1])
    assert len(others) == 2
    assert nearest(np.ones(7, np.float32), kept, 3) == []


def embedding(*values: float) -> dict[str, Any]:
    return body(data=[{"embedding": list(values)}])


def test_marengo_judges_by_prompts_and_pays_for_them_once(stub: Stub, scanned: Scanned) -> None:
    who = judge_named("marengo", SETTINGS)
    one, two = scanned.record.segments()
    frames, dollars = who.price(scanned.record, [one, two])
    assert frames >= 3
    assert dollars == pytest.approx(frames * SETTINGS.frame_price / 1000)
    inside = [time for time in unembedded(scanned.record, SETTINGS, 2.0) if time <= one.end]
    for place in range(frames):
        nearer = place < sum(time >= one.start for time in inside)
        stub.answers(SETTINGS.marengo, embedding(1.0, 0.1) if nearer else embedding(0.1, 1.0))
    sides = prompts()
    for side, values in (("for", (1.0, 0.0)), ("against", (0.0, 1.0))):
        for _ in sides[side]:
            stub.answers(SETTINGS.marengo, embedding(*values))
    assert asked(stub, scanned, who.ask, [one, two]) == []
    (first,), (second,) = scanned.record.opinions().values()
    assert (first["roadwork"], second["roadwork"], first["certainty"]) == (True, False, None)
    assert first["reason"] == f"nearer to “{sides['for'][0]}” (1.00) than to “{sides['against'][0]}” (0.10)"
    assert len(stub.sent) == frames + sum(map(len, sides.values()))
    assert stub.account.spending.of_the_month() == pytest.approx(dollars + who.once, abs=1e-5)
    assert unasked(scanned.record, SETTINGS.marengo, []) == []
    assert len(unasked(scanned.record, SETTINGS.pegasus, [])) == 2
    assert who.price(scanned.record, [one, two]) == (0, 0.0)  # what a search would find is there already


def test_a_segment_of_which_every_call_is_lost_gets_no_opinion(stub: Stub, scanned: Scanned) -> None:
    _, two = scanned.record.segments()
    frames, _ = judge_named("marengo", SETTINGS).price(scanned.record, [two])
    for _ in range(frames):
        stub.answers(SETTINGS.marengo, body(data=[]))
    heard = asked(stub, scanned, judge_named("marengo", SETTINGS).ask, [two])
    assert len(heard) == frames + 1
    assert "no frame of it is embedded" in heard[-1]
    assert scanned.record.opinions() == {}
    assert len(stub.sent) == frames  # no prompt is paid for


def test_vectors_are_read_before_and_after_embedding_alone(stub: Stub, scanned: Scanned) -> None:
    who, reads = judge_named("marengo", SETTINGS), list[str]()
    segments = scanned.record.segments()
    scanned.record._db.set_trace_callback(lambda sql: reads.append(sql) if "FROM vectors" in sql else None)
    frames, _ = who.price(scanned.record, segments)
    for _ in range(frames + sum(map(len, prompts().values()))):
        stub.answers(SETTINGS.marengo, embedding(1.0, 0.0))
    assert len(reads) == 1
    assert asked(stub, scanned, who.ask, segments) == []
    assert len(reads) == 3


def test_a_segment_without_embedded_frames_gives_its_surest() -> None:
    short = Segment(10.0, 11.0, 10.4, 0.9, 0.9, 2)
    assert frames_to_embed([short], [9.5], [4.0, 13.0]) == [10.4]
    assert frames_to_embed([short], [10.2], [4.0, 13.0]) == []
    assert frames_to_embed([short], [], [10.5]) == [10.5]


@pytest.mark.parametrize(
    "answer", [{}, {"data": []}, {"data": [{"embedding": ["a"]}]}, {"data": [{"embedding": [0.0]}]}]
)
def test_what_is_no_embedding_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer):
        read_vector("marengo", answer)


def test_a_vector_keeps_its_direction_at_any_length(scanned: Scanned) -> None:
    vector = read_vector("marengo", {"data": [{"embedding": [3e30, 4e30]}]})
    scanned.record.add_vector(1.0, "m", vector)
    assert scanned.record.vectors("m")[1].tolist() == [pytest.approx([0.6, 0.8], abs=1e-3)]


def test_vectors_of_a_rarer_size_are_left_out(scanned: Scanned) -> None:
    for time, size in ((1.0, 3), (2.0, 4), (3.0, 4)):
        scanned.record.add_vector(time, "m", np.ones(size, np.float32))
    times, vectors = scanned.record.vectors("m")
    assert (times.tolist(), vectors.shape) == ([2.0, 3.0], (2, 4))


def test_spending_passes_over_what_is_no_sum(tmp_path: Path) -> None:
    spending = Spending(tmp_path, 1.0, lambda: datetime(2026, 11, 30, tzinfo=UTC))
    spending.count("a", 0.9)
    with spending.path.open("a") as file:
        for sum_ in ('"abc"', "NaN", "-5", "null"):
            file.write(f'{{"at": "2026-11-30", "dollars": {sum_}}}\n')
    assert spending.of_the_month() == 0.9
    with pytest.raises(OperatorError, match=r"\$0\.90 of \$1\.00 spent this month, and this may take \$0\.20"):
        spending.require(0.2)


def test_clips_are_neither_too_short_nor_too_long() -> None:
    short, long_ = Segment(0.5, 1.5, 1.0, 1, 1, 2), Segment(10.0, 200.0, 150.0, 1, 1, 99)
    assert clip_span(short, 300.0) == (0.0, SHORTEST_S)
    assert clip_span(long_, 300.0) == (135.0, 165.0)
    assert clip_span(replace(short, start=299.0, end=300.0), 300.0) == (296.0, 300.0)


def test_a_clip_of_nothing_is_empty(scanned: Scanned) -> None:
    with open_video(scanned.path, exact=True) as reader:
        assert cut(reader, 500.0, 504.0, searchable=True) == b""
