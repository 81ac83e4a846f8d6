"""A run against a server that misbehaves: what is paid, what is asked again, and what is never asked twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_oracle import (
    TOKENS,
    Behaviour,
    Refusing,
    completion,
    drip,
    flood,
    hang_up,
    saying,
    sending,
    serving,
    silence,
)

from streetvision.errors import OperatorError
from streetvision.labelling.asking import ATTEMPTS, FRUITLESS, STOPPED, AskReport
from streetvision.labelling.store import Cost

from .conftest import Asker, draw, prompt, settings

PAID = Cost(sum(TOKENS), (TOKENS[0] * 1.0 + TOKENS[1] * 4.0) / 1e6)
MONTH = "2026-11-30T12:00:00+00:00"


async def test_every_view_is_asked_about_once_and_kept(asker: Asker, tmp_path: Path) -> None:
    pictures = draw(tmp_path / "pictures", 3)
    with serving() as oracle:
        wanted = settings(oracle, crops=2)
        report = await asker.ask(wanted, pictures)
        again = await asker.ask(wanted, pictures)
    assert (report.answered, report.cached, report.cost.tokens) == (9, 0, 9 * PAID.tokens)
    assert (again.answered, again.cached, again.cost) == (0, 3, Cost())
    assert len(oracle.charged) == 9
    assert oracle.double == 0
    with asker.store() as store:
        (first, *_) = store.answered(prompt(wanted).asker)
        assert store.spent(MONTH).month.money == pytest.approx(9 * PAID.money)
    assert first.answers[0].objects == ("cone",)
    assert len(first.answers) == 3


async def test_another_prompt_asks_anew(asker: Asker, tmp_path: Path) -> None:
    pictures = draw(tmp_path / "pictures", 1)
    with serving() as oracle:
        await asker.ask(settings(oracle), pictures)
        assert (await asker.ask(settings(oracle, pixels=512), pictures)).answered == 1


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (saying("I see cones, so yes."), "no JSON"),
        (saying('{"roadwork": true, "certainty": 7}'), "certainty"),
        (saying('{"roadwork": "maybe", "certainty": 0.7}'), "whether there is roadwork"),
        (saying('{"roadwork": true, "cert', finish="length"), "cut"),
        (saying("", refusal="I cannot help with that."), "refused"),
        (saying("", finish="content_filter"), "refused"),
        (saying("x" * 100_000), "too long"),
        (saying("[" * 20_000), "no JSON"),
        (sending("200 OK", b"<html>"), "no completion"),
        (sending("200 OK", b'{"choices": []}'), "no completion"),
        (sending("200 OK", b'{"choices": 7}'), "no completion"),
        (flood, "too long"),
    ],
)
async def test_a_paid_answer_that_is_none_is_paid_once(
    asker: Asker, tmp_path: Path, behaviour: Behaviour, why: str
) -> None:
    pictures = draw(tmp_path / "pictures", 2)
    with serving(behaviour) as oracle:
        report = await asker.ask(settings(oracle), pictures)
        again = await asker.ask(settings(oracle), pictures)
    assert (report.unusable, report.answered, again.cached) == (1, 1, 2)
    assert oracle.double == 0
    with asker.store() as store:
        assert why in store._db.execute("SELECT remark FROM questions WHERE state = 'unusable'").fetchone()[0]


@pytest.mark.parametrize(
    "behaviour", [hang_up, silence, drip, sending("500 Internal Server Error"), sending("502 Bad Gateway")]
)
async def test_a_question_whose_fate_is_unknown_counts_as_spent_and_is_not_repeated(
    asker: Asker, tmp_path: Path, behaviour: Behaviour
) -> None:
    pictures = draw(tmp_path / "pictures", 2)
    with serving(behaviour) as oracle:
        wanted = settings(oracle, timeout_s=1.0)
        report = await asker.ask(wanted, pictures)
        again = await asker.ask(wanted, pictures)
        assert (report.lost, report.answered, again.cached) == (1, 1, 2)
        assert oracle.double == 0
        with asker.store() as store:
            assert store.spent(MONTH).day.tokens == prompt(wanted).most_tokens() + PAID.tokens
            assert store.allow_lost(prompt(wanted).asker) == 1
        assert (await asker.ask(wanted, pictures)).answered == 1
        assert oracle.double == 1


async def test_429_waits_as_long_as_it_says_and_costs_nothing(asker: Asker, tmp_path: Path) -> None:
    pictures = draw(tmp_path / "pictures", 1)
    busy = Refusing("429 Too Many Requests", b"{}", "Retry-After: 7")
    with serving(busy, busy, Refusing("503 Service Unavailable")) as oracle:
        report = await asker.ask(settings(oracle), pictures)
    assert (report.answered, report.cost) == (1, PAID)
    assert asker.slept.seconds == pytest.approx(7 + 7 + 8.0)
    assert len(oracle.requests) == 4


async def test_a_server_that_stays_busy_ends_the_run(asker: Asker, tmp_path: Path) -> None:
    with serving(*[Refusing("429 Too Many Requests")] * 20) as oracle:
        with pytest.raises(OperatorError, match=f"429, {ATTEMPTS} times"):
            await asker.ask(settings(oracle), draw(tmp_path / "pictures", 2))
        for wait, told in (("7200", "2 h"), ("1" + "0" * 300, "366.0 days")):
            oracle.behaviours[:] = [Refusing("429 Too Many Requests", b"{}", f"Retry-After: {wait}")]
            with pytest.raises(OperatorError, match=f"asked again in {told}"):
                await asker.ask(settings(oracle), draw(tmp_path / "pictures", 2))
    with asker.store() as store:
        assert store.spent(MONTH).month == Cost()


@pytest.mark.parametrize(
    ("status", "why"),
    [("401 Unauthorized", "key is wrong"), ("404 Not Found", "no such address"), ("302 Found", "redirect")],
)
async def test_a_refusal_that_meets_all_questions_ends_the_run(
    asker: Asker, tmp_path: Path, status: str, why: str
) -> None:
    with serving(Refusing(status, b"{}", "Location: http://127.0.0.1:1/elsewhere")) as oracle:
        with pytest.raises(OperatorError, match=why):
            await asker.ask(settings(oracle), draw(tmp_path / "pictures", 3))
        assert len(oracle.requests) == 1
        assert (await asker.ask(settings(oracle), draw(tmp_path / "pictures", 3))).answered == 3


async def test_nobody_listens(asker: Asker, tmp_path: Path) -> None:
    with serving() as oracle:
        wanted = settings(oracle)
    with pytest.raises(OperatorError, match="connection refused"):
        await asker.ask(wanted, draw(tmp_path / "pictures", 1))
    with asker.store() as store:
        assert store.states(prompt(wanted).asker) == {}


async def test_a_question_that_is_declined_is_passed_over(asker: Asker, tmp_path: Path) -> None:
    with serving(Refusing("422 Unprocessable Entity", b'{"error": "image too large"}')) as oracle:
        report = await asker.ask(settings(oracle), draw(tmp_path / "pictures", 2))
    assert (report.declined, report.answered, report.cost) == (1, 1, PAID)


async def test_a_server_that_answers_nothing_useful_is_left_after_a_dozen(asker: Asker, tmp_path: Path) -> None:
    some = draw(tmp_path / "pictures", 20)
    with serving(*[saying("yes")] * 50) as oracle, pytest.raises(OperatorError, match="12 questions in a row"):
        await asker.ask(settings(oracle), some)
    assert oracle.charged.total() == FRUITLESS
    with asker.store() as store:
        assert store.spent(MONTH).month.tokens == FRUITLESS * PAID.tokens


async def test_a_server_without_structured_answers_is_asked_in_words(asker: Asker, tmp_path: Path) -> None:
    refuses = Refusing("400 Bad Request", b'{"error": "response_format is not supported"}')
    wrapped = saying('Sure!\n```json\n{"roadwork": "yes", "certainty": 1, "objects": "cone"}\n```')
    with serving(refuses, wrapped) as oracle:
        report = await asker.ask(settings(oracle), draw(tmp_path / "pictures", 2))
    assert report.answered == 2
    assert ["response_format" in body for _, _, body in oracle.requests] == [True, False, False]
    assert oracle.double == 0


async def test_the_bound_of_the_day_ends_the_run_before_it_is_passed(asker: Asker, tmp_path: Path) -> None:
    pictures = draw(tmp_path / "pictures", 9)
    with serving() as oracle:
        most = prompt(settings(oracle)).most_tokens()
        wanted = settings(oracle, day_tokens=3 * most, concurrency=3)
        report = await asker.ask(wanted, pictures)
        assert "ORACLE_DAY_TOKENS" in report.ended
        with asker.store() as store:
            assert store.spent(MONTH).day.tokens <= 3 * most
        report = await asker.ask(settings(oracle, month_money=0.001), pictures)
    assert report.answered == 0
    assert "raise ORACLE_MONTH_MONEY" in report.ended


async def test_a_server_that_counts_more_than_thought_is_believed(asker: Asker, tmp_path: Path) -> None:
    dear = saying(json.dumps({"roadwork": False, "certainty": 0.8}), tokens=(50_000, 100))
    with serving(dear) as oracle:
        report = await asker.ask(settings(oracle, day_tokens=60_000), draw(tmp_path / "pictures", 5))
    assert (report.answered, report.cost.tokens) == (1, 50_100)
    assert report.ended


@pytest.mark.parametrize("tokens", [None, (-5, 3), (0, 0), (10**9, 5), (True, 5)])
async def test_a_count_that_cannot_be_counts_as_what_was_set_aside(
    asker: Asker, tmp_path: Path, tokens: tuple[int, int] | None
) -> None:
    odd = saying(json.dumps({"roadwork": False, "certainty": 0.8}), tokens=tokens)
    with serving(odd) as oracle:
        wanted = settings(oracle)
        report = await asker.ask(wanted, draw(tmp_path / "pictures", 1))
    assert (report.answered, report.cost.tokens) == (1, prompt(wanted).most_tokens())


async def test_it_stops_when_asked_and_goes_on_later(asker: Asker, tmp_path: Path) -> None:
    pictures = draw(tmp_path / "pictures", 6)
    heard: list[int] = []

    def hear(report: AskReport) -> None:
        heard.append(report.pictures)

    with serving() as oracle:
        wanted = settings(oracle, concurrency=2)
        report = await asker.ask(wanted, pictures, stop=lambda: len(heard) >= 2, progress=hear)
        again = await asker.ask(wanted, pictures)
    assert report.ended == STOPPED
    assert 2 <= report.answered <= 3
    assert report.answered + again.answered == 6
    assert oracle.double == 0


async def test_questions_keep_to_the_pace(asker: Asker, tmp_path: Path) -> None:
    with serving() as oracle:
        await asker.ask(settings(oracle, per_minute=30, concurrency=3), draw(tmp_path / "pictures", 6))
    assert asker.slept.seconds == pytest.approx(10.0)


async def test_pictures_that_are_gone_or_changed_are_not_sent(asker: Asker, tmp_path: Path) -> None:
    gone, changed, odd = draw(tmp_path / "pictures", 3)
    gone.path.unlink()
    changed.path.write_bytes(b"other")
    with serving() as oracle:
        report = await asker.ask(settings(oracle), [gone, changed, odd])
    assert (report.unreadable, report.answered) == (2, 1)


async def test_the_key_goes_to_the_server_alone(asker: Asker, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    with serving(sending("200 OK", completion('{"error": "sk-secret"}'))) as oracle:
        await asker.ask(settings(oracle), draw(tmp_path / "pictures", 1))
    _, headers, body = oracle.requests[0]
    assert headers["authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in json.dumps(body)
    assert "sk-secret" not in caplog.text
    assert b"sk-secret" not in (asker.state / "labelling" / "labelling.sqlite").read_bytes()
