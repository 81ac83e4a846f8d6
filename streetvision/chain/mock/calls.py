"""Extrinsics of the mocked chain: registration, serving and weights, by the real chain's rules and error names."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from bittensor.pow_registration import MAX_WORK_AGE_BLOCKS, registration_prefix, registration_seal

from streetvision.chain.mock.config import RAO
from streetvision.chain.mock.state import Row, SubnetState, with_item
from streetvision.chain.mock.steps import place

FEE_RAO = 125_000
"""The flat transaction fee; proof-of-work registration pays none."""

Params = Mapping[str, Any]
BlockHash = Callable[[int], str]


class CallRefused(Exception):
    """The call failed on chain; `name` is an error name of the real runtime."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _require(condition: bool, error: str) -> None:
    if not condition:
        raise CallRefused(error)


def _registered(state: SubnetState, netuid: int, hotkey: str) -> Row:
    _require(netuid == state.config.netuid, "SubnetNotExists")
    row = state.find(hotkey)
    if row is None:
        raise CallRefused("HotKeyNotRegisteredInSubNet")
    return row


def _check_registration(state: SubnetState, netuid: int, hotkey: str, coldkey: str) -> None:
    _require(netuid == state.config.netuid, "SubnetNotExists")
    _require(state.config.registration_allowed, "SubNetRegistrationDisabled")
    limit = state.config.max_registrations_per_block
    _require(state.registrations_this_block < limit, "TooManyRegistrationsThisBlock")
    _require(state.find(hotkey) is None, "HotKeyAlreadyRegisteredInSubNet")
    _require(state.owners.get(hotkey, coldkey) == coldkey, "NonAssociatedColdKey")


def _register(state: SubnetState, hotkey: str, coldkey: str) -> SubnetState:
    try:
        state = place(state, hotkey, coldkey)
    except LookupError as error:
        raise CallRefused("NoNeuronIdAvailable") from error
    raised = int(min(state.burn * state.config.burn_increase, state.config.max_burn_tao * RAO))
    count = state.registrations_this_block + 1
    return replace(state, burn_base=raised, burn_block=state.block, registrations_this_block=count)


def _burned_register(state: SubnetState, signer: str, params: Params, _: BlockHash) -> SubnetState:
    _check_registration(state, params["netuid"], params["hotkey"], signer)
    free = state.accounts.get(signer, 0)
    _require(free >= state.burn, "NotEnoughBalanceToStake")
    return _register(state.with_free(signer, free - state.burn), params["hotkey"], signer)


def _register_limit(state: SubnetState, signer: str, params: Params, hashes: BlockHash) -> SubnetState:
    _require(state.burn <= params["limit_price"], "RegistrationPriceLimitExceeded")
    return _burned_register(state, signer, params, hashes)


def _pow_register(state: SubnetState, signer: str, params: Params, hashes: BlockHash) -> SubnetState:
    _require(state.config.pow_allowed, "SubNetRegistrationDisabled")
    hotkey, work_block = params["hotkey"], params["work_block"]
    _check_registration(state, params["netuid"], hotkey, signer)
    fresh = work_block < state.block <= work_block + MAX_WORK_AGE_BLOCKS
    _require(fresh and work_block > state.last_pow.get(hotkey, -1), "InvalidWorkBlock")
    work = bytes(params["work"])
    target = ((1 << 256) - 1) // state.config.pow_difficulty
    _require(int.from_bytes(work, "little") <= target, "InvalidDifficulty")
    prefix = registration_prefix(params["netuid"], hashes(work_block), hotkey, signer)
    genuine = work == registration_seal(prefix, params["nonce"]) and work.hex() not in state.used_work
    _require(genuine, "InvalidSeal")
    last_pow = with_item(state.last_pow, hotkey, work_block)
    state = replace(state, used_work=state.used_work | {work.hex()}, last_pow=last_pow)
    return _register(state, hotkey, signer)


def _valid_address(ip: int, ip_type: int) -> bool:
    try:
        ipaddress.IPv4Address(ip) if ip_type == 4 else ipaddress.IPv6Address(ip)
    except ValueError:
        return False
    return True


def _serve_axon(state: SubnetState, signer: str, params: Params, _: BlockHash) -> SubnetState:
    row = _registered(state, params["netuid"], signer)
    _require(params["ip_type"] in {4, 6}, "InvalidIpType")
    _require(_valid_address(params["ip"], params["ip_type"]), "InvalidIpAddress")
    _require(params["port"] > 0, "InvalidPort")
    if row.axon is not None:
        waited = state.block - row.axon["block"]
        _require(waited >= state.config.serving_rate_limit, "ServingRateLimitExceeded")
    fields = ("version", "ip", "port", "ip_type", "protocol", "placeholder1", "placeholder2")
    axon = {"block": state.block, **{name: int(params[name]) for name in fields}}
    return state.with_row(replace(row, axon=MappingProxyType(axon)))


def _set_weights(state: SubnetState, signer: str, params: Params, _: BlockHash) -> SubnetState:
    row = _registered(state, params["netuid"], signer)
    _require(params.get("mecid", 0) == 0, "MechanismDoesNotExist")
    uids, values = params["dests"], params["weights"]
    _require(len(uids) == len(values), "WeightVecNotEqualSize")
    _require(len(set(uids)) == len(uids), "DuplicateUids")
    _require(all(0 <= uid < len(state.rows) for uid in uids), "UidVecContainInvalidOne")
    _require(row.validator_permit or list(uids) == [row.uid], "NeuronNoValidatorPermit")
    limit = state.config.weights_rate_limit
    _require(not limit or state.block - row.last_update >= limit, "SettingWeightsTooFast")
    given = {state.rows[uid].hotkey: float(value) for uid, value in zip(uids, values, strict=True)}
    weights = with_item(state.weights, signer, MappingProxyType(given))
    return replace(state, weights=weights).with_row(replace(row, last_update=state.block))


_CALLS: Mapping[tuple[str, str], Callable[[SubnetState, str, Params, BlockHash], SubnetState]] = {
    ("SubtensorModule", "burned_register"): _burned_register,
    ("SubtensorModule", "register_limit"): _register_limit,
    ("SubtensorModule", "pow_register"): _pow_register,
    ("SubtensorModule", "serve_axon"): _serve_axon,
    ("SubtensorModule", "set_weights"): _set_weights,
    ("SubtensorModule", "set_mechanism_weights"): _set_weights,
}

SHIELDED = ("MevShield", "submit_encrypted")
"""The carrier of an encrypted extrinsic, which the substrate itself opens."""

HOTKEY_CALLS = frozenset({"serve_axon", "set_weights", "set_mechanism_weights"})
"""Calls signed by a registered hotkey whose coldkey pays the fee."""


def is_simulated(module: str, function: str) -> bool:
    """Whether the mocked chain knows this call."""
    return (module, function) == SHIELDED or (module, function) in _CALLS


def fee_of(function: str) -> int:
    """Rao that including a call costs."""
    return 0 if function == "pow_register" else FEE_RAO


def fee_payer(state: SubnetState, signer: str, function: str) -> str:
    """Whose balance the fee comes from: for calls signed by a hotkey its coldkey, as on the real chain."""
    return state.owners.get(signer, signer) if function in HOTKEY_CALLS else signer


def execute(state: SubnetState, signer: str, call: tuple[str, str], params: Params, hashes: BlockHash) -> SubnetState:
    """The state after a call; CallRefused with the runtime's error name when it fails."""
    return _CALLS[call](state, signer, params, hashes)
