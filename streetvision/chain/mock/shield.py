"""The mocked block author's side of MevShield: opens what the SDK encrypts for `NextKey`.

The SDK encrypts registrations to an ML-KEM-768 key with XChaCha20-Poly1305, as
`key hash [16] | length of the encapsulation [2, little endian] | encapsulation | nonce [24] | ciphertext | tag [16]`.
The author here uses the key pair whose secret vector is zero: its public key is 1,152 zero bytes and a seed, which is a
valid encapsulation key, and decapsulation needs no more than rounding (FIPS 203, algorithm 15 with s = 0). Nothing is
kept secret by it, and nothing on a mocked chain needs to be.
"""

from __future__ import annotations

from hashlib import blake2b, sha3_256, sha3_512

from Crypto.Cipher import ChaCha20_Poly1305

_KEY_HASH = 16
_NONCE = 24
_TAG = 16
_COMPRESSED_U = 960
"""Bytes of the first part of an ML-KEM-768 ciphertext; the second holds 256 values of 4 bits."""
_Q = 3329


class ShieldError(ValueError):
    """The ciphertext was not made for this key, or was damaged."""


def public_key(block_hash: str) -> bytes:
    """The encapsulation key [1184] that the author of the next block announces."""
    return bytes(1152) + blake2b(block_hash.encode(), digest_size=32).digest()


def _message(second_part: bytes) -> bytes:
    """The 32-byte ML-KEM message in the 4-bit values of a ciphertext made for a zero secret."""
    bits = 0
    for index in range(256):
        nibble = (second_part[index // 2] >> (4 * (index % 2))) & 15
        value = (nibble * _Q + 8) // 16
        bits |= (((2 * value + _Q // 2) // _Q) & 1) << index
    return bits.to_bytes(32, "little")


def decrypt(blob: bytes, key: bytes) -> bytes:
    """The plaintext of a shielded submission; ShieldError when it does not open with `key`."""
    body = blob[_KEY_HASH:]
    length = int.from_bytes(body[:2], "little")
    encapsulation, rest = body[2 : 2 + length], body[2 + length :]
    if len(encapsulation) != _COMPRESSED_U + 128 or len(rest) < _NONCE + _TAG:
        raise ShieldError("the shielded submission is too short")
    shared = sha3_512(_message(encapsulation[_COMPRESSED_U:]) + sha3_256(key).digest()).digest()[:32]
    cipher = ChaCha20_Poly1305.new(key=shared, nonce=rest[:_NONCE])
    try:
        return bytes(cipher.decrypt_and_verify(rest[_NONCE:-_TAG], rest[-_TAG:]))
    except ValueError as error:
        raise ShieldError("the shielded submission was not made for this key") from error
