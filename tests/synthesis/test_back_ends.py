"""Generators on other machines, played by servers that also misbehave: bounded, told, and never believed."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from streetvision.errors import ConfigError, OperatorError
from streetvision.settings.loading import load_settings
from streetvision.settings.secret import Secret
from streetvision.settings.synthetic import SyntheticSettings
from streetvision.synthesis.back_end import Declined, NotSent, Order
from streetvision.synthesis.back_ends import http
from streetvision.synthesis.back_ends.cosmos import Cosmos
from streetvision.synthesis.back_ends.http import Endpoint
from streetvision.synthesis.back_ends.opening import offered, open_back_end
from streetvision.synthesis.back_ends.vllm_omni import VllmOmni
from streetvision.synthesis.kinds import KINDS
from streetvision.synthesis.pixels import read_pixels, write_pixels

from .streets import HEIGHT, WIDTH, street

PICTURE = write_pixels(street(1))
ORDER = Order(KINDS["night"], PICTURE, 7)
KEY = "a-key-that-nobody-sees"
needs_av = pytest.mark.skipif(find_spec("av") is None, reason="PyAV is not installed")
needs_boto3 = pytest.mark.skipif(find_spec("boto3") is None, reason="boto3 is not installed")


@dataclass
class Server:
    """Answers on loopback with what `answer` says: status, headers, body."""

    answer: Callable[[str], tuple[int, Mapping[str, str], bytes]]
    asked: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def server() -> Iterator[Callable[[Any], Server]]:
    running: list[ThreadingHTTPServer] = []

    def start(answer: Any) -> Server:
        played = Server(answer if callable(answer) else lambda _: answer)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                played.asked.append((self.path, dict(self.headers), body))
                status, headers, content = played.answer(self.path)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST  # noqa: N815 - the server's name for it

            def log_message(self, *_: Any) -> None:
                pass

        running.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=running[-1].serve_forever, args=(0.02,), daemon=True).start()
        played.url = f"http://127.0.0.1:{running[-1].server_port}"
        return played

    yield start
    for one in running:
        one.shutdown()
        one.server_close()


def answered(**fields: Any) -> tuple[int, Mapping[str, str], bytes]:
    return 200, {}, json.dumps(fields).encode()


def omni(played: Server, model: str = "edit") -> VllmOmni:
    return VllmOmni(Endpoint(played.url, Secret(KEY)), model)


def packed(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_vllm_omni_is_asked_for_an_edit_of_the_parent(server: Callable[[Any], Server]) -> None:
    played = server(answered(data=[{"b64_json": packed(PICTURE)}]))
    assert omni(played).make(ORDER) == PICTURE
    ((path, headers, body),) = played.asked
    assert path == "/v1/images/edits"
    assert headers["Authorization"] == f"Bearer {KEY}"
    for part in (b'name="seed"\r\n\r\n7', b'name="model"\r\n\r\nedit', b"at night", PICTURE):
        assert part in body


@pytest.mark.parametrize(
    ("answer", "error", "why"),
    [
        ((200, {}, b"<html>"), Declined, "no JSON object"),
        ((200, {}, b"[" * 100_000), Declined, "no JSON object"),
        (answered(data=[]), Declined, "holds no picture"),
        (answered(data=[{"b64_json": 7}]), Declined, "holds no picture"),
        (answered(data=[{"b64_json": "*"}]), Declined, "no base64"),
        ((500, {}, b""), Declined, "answers 500"),
        ((302, {"Location": "http://127.0.0.1:1/"}, b""), Declined, "answers 302"),
        ((422, {}, b""), Declined, "refuses the order"),
        ((200, {"Content-Length": "100"}, b"{}"), Declined, "connection failed"),
        ((401, {}, b""), NotSent, "the key is wrong"),
        ((404, {}, b""), NotSent, "no such address"),
        ((429, {}, b""), NotSent, "fewer requests"),
    ],
)
def test_whatever_a_server_answers_is_told(
    server: Callable[[Any], Server], answer: Any, error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why) as told:
        omni(server(answer)).make(ORDER)
    assert KEY not in str(told.value)


def test_an_answer_without_end_is_left(server: Callable[[Any], Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST_BYTES", 1000)
    with pytest.raises(Declined, match="larger than"):
        omni(server((200, {}, b"x" * 5000))).make(ORDER)


def test_an_order_that_was_refused_costs_nothing_and_one_that_failed_may(server: Callable[[Any], Server]) -> None:
    for status, free in ((422, True), (500, False)):
        with pytest.raises(Declined) as told:
            omni(server((status, {}, b""))).make(ORDER)
        assert told.value.free is free


def test_nobody_at_the_address_is_told() -> None:
    with pytest.raises(NotSent, match=r"no connection to http://127\.0\.0\.1:1: start the server"):
        VllmOmni(Endpoint("http://127.0.0.1:1", Secret()), "").make(ORDER)


def test_a_server_that_is_silent_is_left(server: Callable[[Any], Server]) -> None:
    waiting = threading.Event()

    def silent(_: str) -> tuple[int, Mapping[str, str], bytes]:
        waiting.wait(5.0)
        return 200, {}, b"{}"

    endpoint = Endpoint(server(silent).url, Secret())
    with pytest.raises(Declined, match=r"no answer within 0.1 s"):
        endpoint.post("/", 0.1, json={})
    waiting.set()


def test_an_answer_that_drips_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
                for _ in range(60):
                    connection.sendall(b" ")
                    time.sleep(0.05)

        dripping = threading.Thread(target=drip)
        dripping.start()
        with pytest.raises(Declined, match=r"no answer within 0.3 s"):
            Endpoint(f"http://127.0.0.1:{listening.getsockname()[1]}", Secret()).post("/", 0.3, json={})
        dripping.join()


def test_names_that_a_server_gives_steer_no_terminal(server: Callable[[Any], Server]) -> None:
    assert omni(server(answered(data=[{"id": "a\x1b[31m\nb"}])), "").check().isprintable()


def test_vllm_omni_is_checked_by_its_list_of_models(server: Callable[[Any], Server]) -> None:
    played = server(answered(data=[{"id": "edit"}]))
    assert omni(played).check() == f"{played.url} serves edit"
    with pytest.raises(NotSent, match="serves edit, not other"):
        omni(played, "other").check()
    with pytest.raises(NotSent, match="no vLLM server"):
        omni(server((200, {}, b"hello"))).check()
    assert [path for path, *_ in played.asked] == ["/v1/models"] * 2


@needs_av
def test_cosmos_gets_a_clip_and_gives_a_frame(server: Callable[[Any], Server]) -> None:
    from streetvision.synthesis.back_ends.clip import still_clip

    played = server(answered(b64_video=packed(still_clip(write_pixels(street(2))))))
    made = read_pixels(Cosmos(Endpoint(played.url, Secret()), "").make(ORDER))
    assert made.shape == (HEIGHT, WIDTH, 3)
    assert abs(made - read_pixels(write_pixels(street(2)))).mean() < 0.04
    (asked,) = (json.loads(body) for path, _, body in played.asked if path == "/v1/infer")
    assert asked["seed"] == 7
    assert asked["video"].startswith("data:video/mp4;base64,")


@needs_av
@pytest.mark.parametrize("clip", [b"no clip", b"\x00\x00\x00\x18ftypmp42" + bytes(200)])
def test_a_clip_that_is_none_is_told(server: Callable[[Any], Server], clip: bytes) -> None:
    with pytest.raises(Declined, match="cannot be read"):
        Cosmos(Endpoint(server(answered(b64_video=packed(clip))).url, Secret()), "").make(ORDER)


@needs_av
def test_cosmos_is_checked_by_its_readiness(server: Callable[[Any], Server]) -> None:
    played = server((200, {}, b"{}"))
    assert "is ready" in Cosmos(Endpoint(played.url, Secret()), "").check()
    with pytest.raises(NotSent, match="answers 503"):
        Cosmos(Endpoint(server((503, {}, b"")).url, Secret()), "").check()


def bedrock_clients() -> tuple[Any, Any]:
    import boto3

    keys = {"region_name": "us-west-2", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
    return boto3.client("bedrock-runtime", **keys), boto3.client("bedrock", **keys)


def streamed(fields: Mapping[str, Any]) -> dict[str, Any]:
    from botocore.response import StreamingBody

    data = json.dumps(fields).encode()
    return {"body": StreamingBody(io.BytesIO(data), len(data)), "contentType": "application/json"}


@needs_boto3
def test_bedrock_is_asked_for_the_parents_structure() -> None:
    from botocore.stub import ANY, Stubber

    from streetvision.net.bedrock import Bedrock
    from streetvision.synthesis.back_ends.bedrock import MODEL, SETTING, ImageControl

    runtime, control = bedrock_clients()
    back_end = ImageControl(Bedrock(runtime, SETTING, lambda _: None), control)
    expected = {"modelId": MODEL, "body": ANY, "contentType": "application/json", "accept": "application/json"}
    with Stubber(runtime) as played:
        played.add_response("invoke_model", streamed({"images": [packed(PICTURE)], "finish_reasons": [None]}), expected)
        assert back_end.make(ORDER) == PICTURE
        played.add_response("invoke_model", streamed({"images": [], "finish_reasons": ["Filter reason: prompt"]}))
        with pytest.raises(Declined, match=r"filtered \(Filter reason: prompt\)"):
            back_end.make(ORDER)
        played.add_response("invoke_model", streamed({"pictures": []}))
        with pytest.raises(Declined, match="not of the form"):
            back_end.make(ORDER)
        for code, error, why in (
            ("AccessDeniedException", NotSent, "ask for the model"),
            ("ServiceQuotaExceededException", NotSent, "try again later"),
            ("ModelErrorException", Declined, "ModelErrorException"),
        ):
            played.add_client_error("invoke_model", code)
            with pytest.raises(error, match=why):
                back_end.make(ORDER)


@needs_boto3
def test_bedrock_is_checked_without_spending() -> None:
    from botocore.stub import Stubber

    from streetvision.net.bedrock import Bedrock
    from streetvision.synthesis.back_ends.bedrock import SETTING, ImageControl

    runtime, control = bedrock_clients()
    back_end = ImageControl(Bedrock(runtime, SETTING), control)
    with Stubber(runtime), Stubber(control) as played:
        played.add_client_error("get_inference_profile", "AccessDeniedException")
        with pytest.raises(NotSent, match="ask for the model in Bedrock's console"):
            back_end.check()
        played.add_client_error("get_inference_profile", "ResourceNotFoundException")
        with pytest.raises(NotSent, match="set SYNTHETIC_REGION, or another model"):
            back_end.check()


def test_the_back_end_is_the_one_that_the_settings_name() -> None:
    local = open_back_end(SyntheticSettings())
    assert local.name == "local 1"
    remote = open_back_end(SyntheticSettings(back_end="vllm-omni", url="http://127.0.0.1:1", kinds="night,blur"))
    assert remote.name == "vllm-omni"
    wanted = SyntheticSettings(kinds="night,blur")
    assert [[kind.name for kind in offered(wanted, one)] for one in (local, remote)] == [["night", "blur"], ["night"]]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"back_end": "cosmos"}, "set --synthetic.url"),
        ({"back_end": "bedrock"}, "set --synthetic.price"),
        ({"back_end": "bedrock", "price": 0.1}, "set --synthetic.budget"),
        ({"url": "http://10.0.0.5:8000", "key": Secret(KEY)}, "https://"),
    ],
)
def test_settings_that_cannot_be_are_told(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why) as told:
        SyntheticSettings(**fields)
    assert isinstance(told.value, OperatorError)
    assert KEY not in str(told.value)


@needs_boto3
@pytest.mark.parametrize(("region", "endpoint"), [("no region/..", ""), ("us-east-1", "htp:/x")])
def test_a_region_or_an_address_that_cannot_be_one_is_told(
    region: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streetvision.synthesis.back_ends.bedrock import open_image_control

    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with pytest.raises(ConfigError, match="Bedrock cannot be asked"):
        open_image_control(region, "")


@pytest.mark.parametrize(
    ("name", "value"), [("URL", f"http://me:{KEY}@10.0.0.5"), ("KEY", f"{KEY} "), ("KEY", f"{KEY}é")]
)
def test_what_holds_a_secret_is_refused_without_telling_it(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"SYNTHETIC_{name}") as told:
        load_settings([], {f"SYNTHETIC_{name}": value}, cwd=tmp_path, warn=lambda _: None)
    assert KEY not in str(told.value)


def test_the_model_of_another_region_can_be_named(tmp_path: Path) -> None:
    model = "eu.stability.stable-image-control-structure-v1:0"
    wanted = load_settings([], {"SYNTHETIC_MODEL": model}, cwd=tmp_path, warn=lambda _: None)
    assert wanted.synthetic.model == model
