"""The settings of retraining: cron's fields, lists of datasets, what contradicts."""

from __future__ import annotations

import pytest

from streetvision.errors import ConfigError
from streetvision.settings.parsing import parse_cron, parse_names
from streetvision.settings.retrain import RetrainSettings


@pytest.mark.parametrize(
    "text",
    ["0 2 * * *", "*/15 * * * *", "0 2 1,15 * *", "30 1-5/2 * jan-mar *", "0 0 * * mon,wed,fri", "0 2 * * 7"],
)
def test_cron_is_read(text: str) -> None:
    assert parse_cron(f" {text.upper()} ") == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not five fields"),
        ("0 2 * *", "not five fields"),
        ("0 2 * * * *", "not five fields"),
        ("60 2 * * *", "'60'"),
        ("0 24 * * *", "'24'"),
        ("0 2 0 * *", "'0'"),
        ("0 2 * 13 *", "'13'"),
        ("0 2 * * 8", "'8'"),
        ("0 2 * * mon-", "'mon-'"),
        ("0 5-2 * * *", "'5-2'"),
        ("*/0 * * * *", "no field of cron"),
        ("5/2 * * * *", "no field of cron"),
        ("0 2 * jun,x *", "'jun,x'"),
        ("0 ² * * *", "'²'"),
        ("0 2 1 * mon", "name one of them"),
    ],
)
def test_what_is_not_cron_is_told(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_cron(text)
    assert says in str(caught.value)


def test_lists_of_datasets_are_split() -> None:
    wanted = RetrainSettings(datasets=parse_names(" streets, /data/mined ,more"), frozen="held")
    assert wanted.dataset_names == ("streets", "/data/mined", "more")
    assert (wanted.frozen_names, RetrainSettings().dataset_names) == (("held",), ())
    for text in ("a,,b", "a,", "a\nb"):
        with pytest.raises(ValueError, match="no list of names"):
            parse_names(text)


def test_settings_that_contradict_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"held stands in --retrain\.frozen"):
        RetrainSettings(datasets="streets,held", frozen="held")
    with pytest.raises(ConfigError, match=r"set --retrain\.gpu_price"):
        RetrainSettings(budget=10.0)
    assert RetrainSettings(budget=10.0, gpu_price=2.0).budget == 10.0
