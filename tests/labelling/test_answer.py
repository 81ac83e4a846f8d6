"""Whatever a model says becomes an answer or a reason why not, and nothing of it steers a terminal."""

from __future__ import annotations

import contextlib
import json
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision.labelling.answer import Answer, NoAnswer, read_answer
from streetvision.labelling.endpoint import read_reply

GOOD = {"roadwork": False, "certainty": 0.75, "objects": ["tree"], "reason": "an empty road"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
)


@pytest.mark.parametrize("text", ["%s", "```json\n%s\n```", "<think>{maybe}</think> So: %s Done.", "\ufeff%s"])
def test_an_answer_is_found_wherever_it_stands(text: str) -> None:
    assert read_answer(text % json.dumps(GOOD)) == Answer(False, 0.75, ("tree",), "an empty road")


def test_probability_is_of_roadwork() -> None:
    assert Answer(True, 0.9).probability == 0.9
    assert Answer(False, 0.9).probability == pytest.approx(0.1)


def test_what_is_too_long_or_steers_is_made_harmless() -> None:
    objects, reason = [*["x" * 99] * 99, 7], "\x1b[2J\n\u202e" + "y" * 999
    said = {"roadwork": True, "certainty": 1, "objects": objects, "reason": reason}
    found = read_answer(json.dumps(said))
    assert len(found.objects) == 16
    assert max(map(len, found.objects)) == 40
    assert len(found.remark) <= 300
    assert found.remark.isprintable()


def test_half_a_character_can_be_stored() -> None:
    found = read_answer('{"roadwork": true, "certainty": 0.9, "reason": "\\ud800", "objects": ["\\udfff"]}')
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.execute("SELECT ?, ?", [found.remark, found.objects[0]]).fetchone()


@pytest.mark.parametrize(
    "certainty", ["NaN", "Infinity", "-0.1", "1.1", "true", '"0.9"', "null", "9" * 400, "9" * 5000]
)
def test_certainty_is_a_probability(certainty: str) -> None:
    with pytest.raises(NoAnswer):
        read_answer(f'{{"roadwork": true, "certainty": {certainty}}}')


@given(st.text() | JSON.map(json.dumps))
def test_anything_at_all_is_an_answer_or_none(text: str) -> None:
    with contextlib.suppress(NoAnswer):
        assert 0 <= read_answer(text).certainty <= 1


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_reply_is_a_reply(data: bytes) -> None:
    assert isinstance(read_reply(data).problem, str)


@given(JSON, JSON, JSON)
def test_any_completion_is_a_reply(content: object, finish: object, usage: object) -> None:
    document = {"choices": [{"message": {"content": content}, "finish_reason": finish}], "usage": usage}
    found = read_reply(json.dumps(document).encode())
    assert found.problem or isinstance(found.text, str)
