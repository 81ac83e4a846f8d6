# ruff: noqa: ANN401 - the SDK's Substrate protocol passes calls, keys and decoded values untyped
"""The mocked chain as the SDK's `Substrate`: `bittensor.Client(network, substrate=MockSubstrate(chain))`.

Client, reads, metagraph decoding, intents, signing, MEV shielding and error mapping of the SDK run for real above it.
What is not simulated raises a ChainError that names it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, NoReturn

from bittensor import Balance, ChainError, ExtrinsicResult

from streetvision.chain.mock.calls import SHIELDED, CallRefused, execute, fee_of, fee_payer, is_simulated
from streetvision.chain.mock.chain import Block, MockChain
from streetvision.chain.mock.errors import runtime_error
from streetvision.chain.mock.extrinsic import (
    Extrinsic,
    MockCall,
    Rejected,
    canonical,
    check_pool,
    decode,
    digest,
    signed,
)
from streetvision.chain.mock.shield import ShieldError, decrypt, public_key
from streetvision.chain.mock.state import with_item
from streetvision.chain.mock.storage import call_runtime, read_constant, read_map, read_storage


class MockSubstrate:
    """One connection to a `MockChain`; any number may share a chain."""

    def __init__(self, chain: MockChain) -> None:
        self.chain = chain
        self.token_symbols: dict[int, str] = {}

    def balance(self, rao: int, netuid: int = 0) -> Balance:
        """A balance tagged with this connection's token symbol."""
        return Balance(int(rao), netuid, self.token_symbols.get(netuid) if netuid else None)

    async def connect(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    # -- reads ---------------------------------------------------------------------------------------------------------

    def _block(self, block_hash: str | None) -> Block:
        try:
            return self.chain.at(block_hash)
        except KeyError:
            raise ChainError(f"State already discarded for {block_hash}") from None

    async def block_hash(self, block: int | None = None) -> str:
        """Hash of a block number (the head's for None); ChainError for one that is not made yet."""
        number = self.chain.head.number if block is None else block
        if not 0 <= number <= self.chain.head.number:
            raise ChainError(f"the mocked chain has no block {number} yet")
        return self.chain.block_hash(number)

    async def block_number(self) -> int:
        """The head's number."""
        return self.chain.head.number

    async def finalized_block_number(self) -> int:
        """The head's number: every block is final at once."""
        return self.chain.head.number

    async def block_time(self) -> float:
        """Seconds per block."""
        return self.chain.state.block_time_s

    async def spec_version(self) -> int:
        """The runtime version whose rules the mock follows."""
        return 435

    async def get_block(self, block_number: int | None = None, block_hash: str | None = None) -> dict[str, Any] | None:
        """A block's header; its extrinsics are only kept as results."""
        wanted = block_hash if block_number is None else self.chain.block_hash(block_number)
        return {"header": self._block(wanted).header, "extrinsics": []}

    async def query(
        self, module: str, storage_function: str, params: list[Any] | None = None, block_hash: str | None = None
    ) -> Any:
        """One storage item."""
        if (module, storage_function) == ("MevShield", "NextKey"):
            return "0x" + public_key(self._block(block_hash).hash).hex()
        return read_storage(self._block(block_hash).state, module, storage_function, params or [])

    async def map_has_entries(
        self, module: str, storage_function: str, params: list[Any], block_hash: str | None = None
    ) -> bool:
        """Whether a storage map holds anything under a prefix."""
        return bool(await self.query_map(module, storage_function, params, block_hash))

    async def query_map(
        self, module: str, storage_function: str, params: list[Any] | None = None, block_hash: str | None = None
    ) -> list[tuple[Any, Any]]:
        """A whole storage map."""
        return read_map(self._block(block_hash).state, module, storage_function, params or [])

    async def query_batch(
        self, module: str, storage_function: str, param_sets: list[list[Any]], block_hash: str | None = None
    ) -> list[Any]:
        """One storage map for many keys."""
        state = self._block(block_hash).state
        return [read_storage(state, module, storage_function, keys) for keys in param_sets]

    async def runtime_call(self, api: str, method: str, params: list[Any], block_hash: str | None = None) -> Any:
        """A runtime API."""
        return call_runtime(self._block(block_hash).state, api, method, params)

    async def constant(self, module: str, name: str) -> Any:
        """A pallet constant."""
        return read_constant(self.chain.state, module, name)

    async def blocks(self, *, finalized: bool = False) -> AsyncIterator[dict[str, Any]]:
        """Headers of new blocks; every block is final at once."""
        async for header in self.chain.headers():
            yield {"header": header}

    async def events(self, block_hash: str | None = None) -> list[dict[str, Any]]:
        """A block's events: success or failure of each extrinsic."""
        return self._block(block_hash).events

    # -- calls and fees ------------------------------------------------------------------------------------------------

    async def compose(self, call: Any) -> MockCall:
        """A generated call as a chain-ready one; ChainError when it is not simulated."""
        module, function, params = call
        if not is_simulated(module, function):
            raise ChainError(f"the mocked chain does not simulate the call {module}.{function}")
        return MockCall(canonical([module, function, params]))

    async def estimate_fee(self, call: MockCall, keypair: Any) -> Balance:
        """The flat fee of a call."""
        return Balance.from_rao(fee_of(json.loads(call.data)[1]))

    async def estimate_weight(self, call: MockCall, keypair: Any) -> dict[str, int]:
        """A nominal dispatch weight."""
        return {"ref_time": len(call.data), "proof_size": 0}

    async def account_next_index(self, address: str) -> int:
        """The account's next nonce."""
        return self.chain.state.nonces.get(address, 0)

    async def mev_next_key(self) -> bytes | None:
        """The ML-KEM-768 key for the next block."""
        return public_key(self.chain.head.hash)

    # -- writes --------------------------------------------------------------------------------------------------------

    async def sign_extrinsic(self, call: MockCall, keypair: Any, *, nonce: int, period: int) -> tuple[bytes, str]:
        """A signed extrinsic's bytes and hash, not submitted."""
        raw = await signed(call, keypair, nonce, period)
        return raw, digest(raw)

    async def submit(
        self,
        call: MockCall,
        keypair: Any,
        *,
        nonce: int | None = None,
        period: int | None = None,
        wait_for_inclusion: bool = True,
        wait_for_finalization: bool = True,
    ) -> ExtrinsicResult:
        """Sign a call and seal it into the next block."""
        if nonce is None:
            nonce = await self.account_next_index(keypair.ss58_address)
        raw = await signed(call, keypair, nonce, period)
        return self._include(raw, wait_for_inclusion or wait_for_finalization)

    async def find_extrinsic(self, extrinsic_hash: str, block_hash: str) -> ExtrinsicResult | None:
        """The outcome of an extrinsic in a block, or None when it is not in there."""
        return self._block(block_hash).results.get(extrinsic_hash)

    def _include(self, raw: bytes, wait: bool) -> ExtrinsicResult:
        try:
            extrinsic = decode(raw)
            check_pool(self.chain.state, extrinsic)
        except Rejected as rejection:
            return ExtrinsicResult(success=False, message=rejection.error.message, error=rejection.error)
        key = public_key(self.chain.head.hash)
        block = self.chain.seal()
        self._apply(block, extrinsic)
        if extrinsic.call == SHIELDED:
            self._open(block, extrinsic, key)
        return (
            block.results[extrinsic.hash] if wait else ExtrinsicResult(success=True, message="Submitted (not waiting).")
        )

    def _open(self, block: Block, carrier: Extrinsic, key: bytes) -> None:
        """Include the extrinsic inside a shielded carrier, in the carrier's own block; a bad one is left out."""
        try:
            inner = decode(decrypt(bytes.fromhex(carrier.params["ciphertext"].removeprefix("0x")), key))
            check_pool(block.state, inner)
        except (ShieldError, Rejected):
            return
        self._apply(block, inner)

    def _apply(self, block: Block, extrinsic: Extrinsic) -> None:
        """Charge the fee, count the nonce, execute the call and record its outcome in the block."""
        function = extrinsic.call[1]
        payer, fee = fee_payer(block.state, extrinsic.signer, function), fee_of(function)
        state = block.state.with_free(payer, block.state.accounts.get(payer, 0) - fee)
        state = replace(state, nonces=with_item(state.nonces, extrinsic.signer, extrinsic.nonce + 1))
        error: ChainError | None = None
        if extrinsic.call != SHIELDED:
            try:
                state = execute(state, extrinsic.signer, extrinsic.call, extrinsic.params, self.chain.block_hash)
            except CallRefused as refusal:
                error = runtime_error(refusal.name)
        block.state = state
        self._record(block, extrinsic, fee, error)

    def _record(self, block: Block, extrinsic: Extrinsic, fee: int, error: ChainError | None) -> None:
        event = {
            "event": {
                "module_id": "System",
                "event_id": "ExtrinsicSuccess" if error is None else "ExtrinsicFailed",
                "attributes": {} if error is None else {"dispatch_error": error.name},
            },
            "extrinsic_idx": len(block.results),
        }
        block.events.append(event)
        block.results[extrinsic.hash] = ExtrinsicResult(
            success=error is None,
            message="Success" if error is None else error.message,
            block_hash=block.hash,
            extrinsic_id=f"{block.number}-{len(block.results):04d}",
            fee=Balance.from_rao(fee),
            events=[event],
            error=error,
        )

    # -- not simulated -------------------------------------------------------------------------------------------------

    async def decode_scale(self, type_string: str, data: Any) -> NoReturn:
        """There is no SCALE on the mocked chain."""
        raise ChainError("the mocked chain does not simulate SCALE decoding")

    async def prepare(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Out-of-process signing is not simulated."""
        raise ChainError("the mocked chain does not simulate out-of-process signing")

    async def submit_signature(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Out-of-process signing is not simulated."""
        raise ChainError("the mocked chain does not simulate out-of-process signing")

    async def submit_signed(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Extrinsics signed elsewhere are not simulated."""
        raise ChainError("the mocked chain does not simulate extrinsics signed elsewhere")

    def multisig_account(self, signatories: list[str], threshold: int) -> NoReturn:
        """Multisig accounts are not simulated."""
        raise ChainError("the mocked chain does not simulate multisig accounts")

    async def submit_multisig(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Multisig accounts are not simulated."""
        raise ChainError("the mocked chain does not simulate multisig accounts")
