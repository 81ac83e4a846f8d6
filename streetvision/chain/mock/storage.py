# ruff: noqa: ANN401 - decoded chain values have the shape their storage item gives them
"""What can be read from the mocked chain: storage, constants and the metagraph, as the SDK's transport decodes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bittensor import ChainError

from streetvision.chain.mock.config import RAO
from streetvision.chain.mock.state import Row, SubnetState

U16 = 65_535

Read = Callable[[SubnetState, Sequence[Any]], Any]


def _u16(fraction: float) -> int:
    return int(fraction * U16)


def _item(read: Callable[[SubnetState], Any]) -> Read:
    """A storage map keyed by netuid: None for a subnet that does not exist, as the chain's optional maps answer."""
    return lambda state, keys: read(state) if list(keys) == [state.config.netuid] else None


def _plain(read: Callable[[SubnetState], Any]) -> Read:
    return lambda state, keys: read(state)


def _row(read: Callable[[Row], Any]) -> Read:
    """A double map keyed by netuid and hotkey."""

    def value(state: SubnetState, keys: Sequence[Any]) -> Any:
        netuid, hotkey = keys
        row = state.find(str(hotkey)) if netuid == state.config.netuid else None
        return None if row is None else read(row)

    return value


def _column(read: Callable[[Row], Any]) -> Read:
    return _item(lambda state: [read(row) for row in state.rows])


def _hotkey_of(state: SubnetState, keys: Sequence[Any]) -> str | None:
    netuid, uid = keys
    return state.rows[uid].hotkey if netuid == state.config.netuid and 0 <= uid < len(state.rows) else None


def _registered_at(state: SubnetState, keys: Sequence[Any]) -> int:
    netuid, uid = keys
    return state.rows[uid].registered_at if netuid == state.config.netuid and 0 <= uid < len(state.rows) else 0


_SUBTENSOR: Mapping[str, Read] = {
    "Active": _column(lambda _: True),
    "AdjustmentInterval": _item(lambda s: s.config.burn_half_life),
    "Axons": _row(lambda row: None if row.axon is None else dict(row.axon)),
    "BlockAtRegistration": _registered_at,
    "BlocksSinceLastStep": _item(lambda s: s.block - s.last_epoch),
    "Burn": _item(lambda s: s.burn),
    "BurnHalfLife": _item(lambda s: s.config.burn_half_life),
    "BurnIncreaseMult": _item(lambda s: {"bits": int(s.config.burn_increase * 2**64)}),
    "CollateralLockShare": _item(lambda _: 0),
    "CommitRevealWeightsEnabled": _item(lambda _: False),
    "Consensus": _column(lambda row: _u16(row.consensus)),
    "Difficulty": _item(lambda s: s.config.pow_difficulty),
    "Dividends": _column(lambda row: _u16(row.dividends)),
    "Emission": _column(lambda row: row.emission),
    "ImmuneOwnerUidsLimit": _item(lambda s: s.config.immune_owner_uids),
    "ImmunityPeriod": _item(lambda s: s.config.immunity_period),
    "Incentive": _column(lambda row: _u16(row.incentive)),
    "Keys": _hotkey_of,
    "LastEpochBlock": _item(lambda s: s.last_epoch),
    "LastPowRegistrationBlock": lambda s, keys: s.last_pow.get(str(keys[0])),
    "LastUpdate": _column(lambda row: row.last_update),
    "MaxAllowedUids": _item(lambda s: s.config.max_uids),
    "MaxBurn": _item(lambda s: int(s.config.max_burn_tao * RAO)),
    "MaxDifficulty": _item(lambda s: max(s.config.pow_difficulty, 2**63)),
    "MaxRegistrationsPerBlock": _item(lambda s: s.config.max_registrations_per_block),
    "MaxWeightsLimit": _item(lambda _: U16),
    "MinAllowedWeights": _item(lambda _: 1),
    "MinBurn": _item(lambda s: int(s.config.min_burn_tao * RAO)),
    "MinDifficulty": _item(lambda _: 1),
    "MinNonImmuneUids": _item(lambda s: s.config.min_non_immune_uids),
    "NetworkPowRegistrationAllowed": _item(lambda s: s.config.pow_allowed),
    "NetworkRegistrationAllowed": _item(lambda s: s.config.registration_allowed),
    "NetworksAdded": lambda s, keys: list(keys) == [s.config.netuid],
    "Owner": lambda s, keys: s.owners.get(str(keys[0])),
    "RegistrationsThisBlock": _item(lambda s: s.registrations_this_block),
    "ServingRateLimit": _item(lambda s: s.config.serving_rate_limit),
    "SubnetEpochConsensus": _item(lambda _: "Yuma"),
    "SubnetIdentitiesV3": _item(lambda s: {"subnet_name": list(s.config.subnet_name.encode())}),
    "SubnetOwner": _item(lambda s: s.owner_coldkey),
    "SubnetOwnerHotkey": _item(lambda s: s.rows[0].hotkey),
    "SubnetworkN": _item(lambda s: len(s.rows)),
    "Tempo": _item(lambda s: s.config.tempo),
    "Uids": _row(lambda row: row.uid),
    "ValidatorPermit": _column(lambda row: row.validator_permit),
    "WeightsSetRateLimit": _item(lambda s: s.config.weights_rate_limit),
}

_STORAGE: Mapping[tuple[str, str], Read] = {
    **{("SubtensorModule", name): read for name, read in _SUBTENSOR.items()},
    ("System", "Account"): lambda s, keys: {
        "nonce": s.nonces.get(str(keys[0]), 0),
        "data": {"free": s.accounts.get(str(keys[0]), 0), "reserved": 0, "frozen": 0},
    },
    ("System", "Number"): _plain(lambda s: s.block),
    ("Timestamp", "Now"): _plain(lambda s: s.timestamp_ms),
}

_CONSTANTS: Mapping[tuple[str, str], Callable[[SubnetState], Any]] = {
    ("Aura", "SlotDuration"): lambda s: round(s.block_time_s * 1000),
    ("Balances", "ExistentialDeposit"): lambda _: 500,
    ("SubtensorModule", "InitialTempo"): lambda s: s.config.tempo,
}


def _missing(kind: str, container: str, name: str) -> ChainError:
    return ChainError(f"the mocked chain does not simulate the {kind} {container}.{name}")


def read_storage(state: SubnetState, module: str, name: str, keys: Sequence[Any]) -> Any:
    """One storage item's decoded value; ChainError naming an item that is not simulated."""
    try:
        read = _STORAGE[module, name]
    except KeyError:
        raise _missing("storage item", module, name) from None
    return read(state, keys)


def read_map(state: SubnetState, module: str, name: str, keys: Sequence[Any]) -> list[tuple[Any, Any]]:
    """A storage map's items; only the maps that a miner or validator of one subnet walks."""
    if (module, name) == ("SubtensorModule", "TokenSymbol"):
        return [(state.config.netuid, "0x" + "ν".encode().hex())]
    if (module, name) == ("SubtensorModule", "Uids") and list(keys) == [state.config.netuid]:
        return [(row.hotkey, row.uid) for row in state.rows]
    if (module, name) in {("Commitments", "CommitmentOf"), ("Commitments", "RevealedCommitments")}:
        return []
    by_netuid = {"NetworksAdded", "Tempo", "Burn", "SubnetworkN"}
    if module == "SubtensorModule" and name in by_netuid and not keys:
        return [(state.config.netuid, read_storage(state, module, name, [state.config.netuid]))]
    raise _missing("storage map", module, name)


def read_constant(state: SubnetState, module: str, name: str) -> Any:
    """A pallet constant; ChainError naming one that is not simulated."""
    try:
        return _CONSTANTS[module, name](state)
    except KeyError:
        raise _missing("constant", module, name) from None


def call_runtime(state: SubnetState, api: str, method: str, params: Sequence[Any]) -> Any:
    """A runtime API's answer; ChainError naming one that is not simulated."""
    if (api, method) != ("SubnetInfoRuntimeApi", "get_metagraph"):
        raise _missing("runtime API", api, method)
    return metagraph(state) if list(params) == [state.config.netuid] else None


def metagraph(state: SubnetState) -> dict[str, Any]:
    """The runtime's metagraph record, in the shapes that the SDK's typed decoding reads."""
    config, rows = state.config, state.rows
    return {
        "netuid": config.netuid,
        "name": list(config.subnet_name.encode()),
        "symbol": list("ν".encode()),
        "identity": None,
        "network_registered_at": config.start_block - config.subnet_age,
        "owner_hotkey": rows[0].hotkey,
        "owner_coldkey": state.owner_coldkey,
        "block": state.block,
        "tempo": config.tempo,
        "last_step": state.last_epoch,
        "blocks_since_last_step": state.block - state.last_epoch,
        "alpha_in": 1_000_000 * RAO,
        "tao_in": round(1_000_000 * config.alpha_price * RAO),
        "moving_price": {"bits": int(config.alpha_price * 2**32)},
        "num_uids": len(rows),
        "max_uids": config.max_uids,
        "burn": state.burn,
        "difficulty": config.pow_difficulty,
        "registration_allowed": config.registration_allowed,
        "pow_registration_allowed": config.pow_allowed,
        "immunity_period": config.immunity_period,
        "serving_rate_limit": config.serving_rate_limit,
        "max_regs_per_block": config.max_registrations_per_block,
        "collateral_locked": [_collateral(state, row) for row in rows],
        "collateral_min": [0 for _ in rows],
        "collateral_earned": [0 for _ in rows],
        **_columns(rows),
    }


def _collateral(state: SubnetState, row: Row) -> int:
    held = state.config.miner_collateral if row.hotkey == state.config.miner_hotkey else 0.0
    return round(held * RAO)


def _columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    return {
        "hotkeys": [row.hotkey for row in rows],
        "coldkeys": [row.coldkey for row in rows],
        "identities": [None for _ in rows],
        "axons": [None if row.axon is None else dict(row.axon) for row in rows],
        "active": [True for _ in rows],
        "validator_permit": [row.validator_permit for row in rows],
        "last_update": [row.last_update for row in rows],
        "block_at_registration": [row.registered_at for row in rows],
        "rank": [_u16(row.rank) for row in rows],
        "trust": [_u16(row.trust) for row in rows],
        "consensus": [_u16(row.consensus) for row in rows],
        "incentives": [_u16(row.incentive) for row in rows],
        "dividends": [_u16(row.dividends) for row in rows],
        "pruning_score": [_u16(row.pruning_score) for row in rows],
        "emission": [row.emission for row in rows],
        "alpha_stake": [row.stake for row in rows],
        "tao_stake": [0 for _ in rows],
        "total_stake": [row.stake for row in rows],
    }
