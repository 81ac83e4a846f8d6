"""Each default is said once: settings that nobody touched give each room what it takes by itself."""

from __future__ import annotations

from dataclasses import replace

from streetvision.alerts.policy import policy_of as alert_policy_of
from streetvision.alerts.schedule import AlertPolicy
from streetvision.axon.config import AxonConfig
from streetvision.chain.mock.config import MockConfig
from streetvision.engine.decode import DecodeLimits
from streetvision.miner.from_settings import axon_config, decode_limits, log_limits, mock_config
from streetvision.prediction_log.upkeep import Limits
from streetvision.rollout.policy import Policy, policy_of
from streetvision.settings.network import AxonSettings, BlacklistSettings
from streetvision.settings.settings import Settings

UNTOUCHED = Settings()


def test_rooms_take_their_defaults_from_the_settings() -> None:
    assert axon_config(UNTOUCHED, "hotkey") == AxonConfig(hotkey="hotkey")
    assert decode_limits(UNTOUCHED) == DecodeLimits()
    assert log_limits(UNTOUCHED.log) == Limits()
    assert mock_config(UNTOUCHED, MockConfig.miner_hotkey) == MockConfig()
    assert policy_of(UNTOUCHED.rollout, UNTOUCHED.axon.deadline_margin) == Policy()
    assert replace(alert_policy_of(UNTOUCHED.alerts), hours=AlertPolicy().hours) == AlertPolicy()


def test_the_axons_groups_reach_the_axon() -> None:
    settings = Settings(
        axon=AxonSettings(port=1, ip="::1", max_body_mib=2, requests_per_minute=3, deadline_margin=4.0),
        blacklist=BlacklistSettings(force_validator_permit=False, allow_non_registered=True, min_stake=5.0),
    )
    config = axon_config(settings, "hotkey")
    assert (config.port, config.hosts, config.max_body_bytes) == (1, ("::1",), 2 << 20)
    assert (config.quota_per_minute, config.deadline_margin_s) == (3, 4.0)
    assert (config.force_validator_permit, config.allow_non_registered, config.min_stake) == (False, True, 5.0)
