"""What goes to Modal and what it may cost, decided before anything is sent."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from streetvision.cost.prices import HOURS, read_prices
from streetvision.engine.transport import ModelPin
from streetvision.errors import OperatorError
from streetvision.models.folder import read_config
from streetvision.models.versions import ModelVersion
from streetvision.runner.remote import pin_of
from streetvision.serverless.deployment import Deployed, check_money, deployed, rates, upload
from streetvision.settings.modal import ModalSettings

PRICES = read_prices()
NOON = datetime(2026, 11, 15, 12, tzinfo=UTC)


def version(folder: Path) -> ModelVersion:
    return ModelVersion("1.0.0", "tiny", folder, "", "a test", "", True, None, "")


def test_rates_follow_the_price_table() -> None:
    found = rates(ModalSettings(card="l4", warm=2, most=5), PRICES)
    assert found.container_hour == pytest.approx(3600 * PRICES.container_second("l4"))
    assert found.idle_month == pytest.approx(2 * HOURS * found.container_hour)
    assert found.worst_hour == pytest.approx(5 * found.container_hour)


@pytest.mark.parametrize(("warm", "month_usd", "refused"), [(0, 0.0, False), (1, 1000.0, False), (1, 50.0, True)])
def test_warm_containers_beyond_the_bound_are_refused(warm: int, month_usd: float, refused: bool) -> None:
    settings = ModalSettings(warm=warm, month_usd=month_usd)
    if refused:
        with pytest.raises(OperatorError, match=r"1 containers with l4 .* more than --modal.month_usd 50"):
            check_money(settings, PRICES, NOON)
    else:
        check_money(settings, PRICES, NOON)


def test_a_checkpoint_goes_under_its_fingerprint(checkpoint: Path) -> None:
    found = deployed(version(checkpoint))
    assert found == Deployed(checkpoint, pin_of("1.0.0", read_config(checkpoint)))


def test_an_ensemble_stays_here(tmp_path: Path) -> None:
    (tmp_path / "ensemble.json").write_text("{}")
    with pytest.raises(OperatorError, match=r"1\.0\.0 is an ensemble"):
        deployed(version(tmp_path))


class There:
    """A volume with two models."""

    def __init__(self) -> None:
        self.models = [ModelPin("1.0.0", "aa"), ModelPin("2.0.0", "old")]

    def uploaded(self) -> list[ModelPin]:
        return list(self.models)

    def upload(self, folder: Path, pin: ModelPin) -> None:
        self.models.append(pin)

    def remove(self, pin: ModelPin) -> None:
        self.models.remove(pin)


def test_only_missing_models_are_uploaded_and_take_the_place_of_their_versions() -> None:
    volume = There()
    models = [Deployed(Path(name), ModelPin(f"{name}.0.0", f"{name * 2}")) for name in ("1", "2")]
    models[0] = Deployed(Path("1"), ModelPin("1.0.0", "aa"))
    assert upload(volume, models) == models[1:]
    assert volume.models == [ModelPin("1.0.0", "aa"), ModelPin("2.0.0", "22")]


@pytest.mark.parametrize(
    ("name", "value"), [("app", "two words"), ("app", ""), ("app", "x" * 64), ("environment", "a/b")]
)
def test_names_are_checked(name: str, value: str) -> None:
    from streetvision.settings.modal import parse_app, parse_environment

    parse: Any = parse_app if name == "app" else parse_environment
    with pytest.raises(ValueError, match="is no name at Modal"):
        parse(value)
