"""Errors of the mocked chain in the SDK's own words, so that callers see what they would see on the real one."""

from __future__ import annotations

from bittensor import ChainError
from bittensor._generated.errors import ERRORS
from bittensor.result import chain_error_from_dispatch, chain_error_from_substrate_request

_INDEX = {info.name: index for index, info in ERRORS.items() if info.pallet == "SubtensorModule"}


def runtime_error(name: str) -> ChainError:
    """The error of a failed extrinsic; KeyError for a name that the real runtime does not have."""
    pallet, error = _INDEX[name]
    return chain_error_from_dispatch({"Module": {"index": pallet, "error": [error, 0, 0, 0]}})


def pool_error(reason: str) -> ChainError:
    """The error of an extrinsic that the pool refused, from the text in which a node says so."""
    return chain_error_from_substrate_request(ValueError(reason))
