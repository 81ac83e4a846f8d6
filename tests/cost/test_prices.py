"""Prices: those of the package are whole and dated; an operator's file is put over them, or refused in one sentence."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from streetvision.cost.estimate import aged
from streetvision.cost.prices import prices_text, read_prices
from streetvision.cost.speeds import CPU, read_speeds
from streetvision.errors import OperatorError

SPEEDS = read_speeds()


def over(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(text)
    return path


def test_every_device_has_a_machine_and_every_card_a_price_at_modal() -> None:
    prices = read_prices(devices=SPEEDS.device)
    for device in SPEEDS.device:
        assert prices.cheapest(device).hour > 0
    for card in SPEEDS.device.keys() - {CPU}:
        assert prices.container_second(card) > prices.modal_second[card].second


def test_the_cheapest_machine_is_taken() -> None:
    prices = read_prices()
    both = [machine.hour for machine in prices.machine.values() if machine.device == "l4"]
    assert len(both) > 1
    assert prices.cheapest("l4").hour == min(both)


def test_a_machine_has_the_memory_that_is_needed(tmp_path: Path) -> None:
    small = over(
        tmp_path,
        '[machine.small]\ntitle = "small"\ndevice = "cpu"\nvcpus = 1\nmemory_gib = 1\nhour = 0.001\n'
        'seen = 2026-11-30\nsource = "a test"\n',
    )
    prices = read_prices(small)
    assert prices.cheapest("cpu").title == "small"
    assert prices.cheapest("cpu", 1.7).title != "small"
    with pytest.raises(OperatorError, match="no machine with cpu and 999 GiB has a price"):
        prices.cheapest("cpu", 999)


def test_a_container_pays_for_card_cores_and_memory(tmp_path: Path) -> None:
    own = over(
        tmp_path,
        "modal.cores = 2\nmodal.memory_gib = 10\nmodal_second.l4.second = 0.5\n"
        "modal_second.core.second = 0.25\nmodal_second.gib.second = 0.01\n",
    )
    assert read_prices(own).container_second("l4") == pytest.approx(0.5 + 2 * 0.25 + 10 * 0.01)


def test_a_file_changes_a_key_and_leaves_the_others(tmp_path: Path) -> None:
    before, after = read_prices(), read_prices(over(tmp_path, "[machine.aws-g6]\nhour = 0.5\n"))
    assert after.machine["aws-g6"].hour == 0.5
    assert after.machine["aws-g6"].title == before.machine["aws-g6"].title
    assert after.machine["gcp-g2"] == before.machine["gcp-g2"]


def test_a_machine_of_ones_own(tmp_path: Path) -> None:
    own = over(
        tmp_path,
        '[machine.cellar]\ntitle = "the one in the cellar"\ndevice = "t4"\nvcpus = 8\nmemory_gib = 32\nhour = 0.04\n'
        'seen = 2026-11-30\nsource = "electricity"\n',
    )
    assert read_prices(own, devices=SPEEDS.device).cheapest("t4").title == "the one in the cellar"


def test_the_shown_prices_are_a_file_that_reads_back(tmp_path: Path) -> None:
    assert read_prices(over(tmp_path, prices_text())) == read_prices()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("machine.aws-g6.huor = 1", "machine.aws-g6.huor is not known: did you mean hour?"),
        ("[machnie.x]\nhour = 1", "the section machnie is not known: did you mean machine?"),
        ("[modal]\nidle = 3", "modal.idle is not known: did you mean idle_s?"),
        ("machine.aws-g6.hour = -0.5", "machine.aws-g6.hour is -0.5: give a number from 0"),
        (f"machine.aws-g6.hour = 1{400 * '0'}", "give a number from 0"),
        ("machine.aws-g6.hour = nan", "machine.aws-g6.hour is nan: give a number from 0"),
        ("machine.aws-g6.hour = inf", "machine.aws-g6.hour is inf"),
        ('machine.aws-g6.hour = "cheap"', "machine.aws-g6.hour must be a number, not 'cheap'"),
        ("machine.aws-g6.hour = true", "must be a number, not True"),
        ('machine.aws-g6.seen = "May"', "machine.aws-g6.seen must be a day such as 2026-11-30"),
        ("machine.aws-g6.seen = 2026-11-30T10:00:00", "machine.aws-g6.seen must be a day"),
        ("machine.aws-g6.title = 3", "machine.aws-g6.title must be a text in quotes, not 3"),
        ('machine.aws-g6.device = "l4o"', "machine.aws-g6.device: l4o is not known: did you mean l4"),
        ("[machine.new]\nhour = 1", "machine.new.title is missing"),
        ("machine = 3", "machine is a section"),
        ("modal = 3", "modal is a section"),
        ("machine.aws-g6 = 3", "machine.aws-g6 is a section"),
        ("machine.aws-g6.hour = ", "is no TOML"),
        ("a = " + "[" * 5000, "is no TOML"),
    ],
)
def test_a_slip_is_one_sentence_with_the_file(tmp_path: Path, text: str, says: str) -> None:
    own = over(tmp_path, text)
    with pytest.raises(OperatorError) as told:
        read_prices(own, devices=SPEEDS.device)
    assert says in str(told.value)
    assert str(own) in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["gone.toml", "."])
def test_a_file_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(OperatorError, match="cannot be read"):
        read_prices(tmp_path / name)


def test_a_binary_or_endless_file(tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(OperatorError, match="it is not a text file"):
        read_prices(tmp_path / "picture")
    with pytest.raises(OperatorError, match="larger than a table"):
        read_prices(Path("/dev/zero"))


def test_old_prices_are_told_of() -> None:
    prices = read_prices()
    assert aged(prices, prices.oldest()) == ""
    assert str(prices.oldest()) in aged(prices, date(2030, 1, 1))
