"""Encryption to public keys as a stream in the format age v1 (c2sp.org/age): the writing half of `sealing`.

It needs `cryptography` alone, which every MLflow has, so that a backup is taken in the server's own image too. What is
written here is opened by `sealing` and by every other program of that format: `age -d -i KEYFILE`.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Write = Callable[[bytes], object]

_VERSION: Final = b"age-encryption.org/v1"
_WRAPPED: Final = _VERSION + b"/X25519"
_CHUNK_BYTES: Final = 64 * 1024
_FILE_KEY_BYTES: Final = 16
_NONCE_BYTES: Final = 16
_KEY_BYTES: Final = 32
# A stream's nonce is the number of the chunk and one byte that marks the last one.
_COUNTER_BYTES: Final = 11
# A file key is wrapped under a key that is used once.
_WRAP_NONCE: Final = bytes(12)
# Bech32 (BIP 173): its alphabet, and its checksum's length.
_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_CHECKSUM: Final = 6


def seal(pieces: Iterable[bytes], write: Write, public_keys: Sequence[str]) -> None:
    """Write what `pieces` give, sealed so that each of the keys opens it. Errors of reading and writing pass."""
    file_key = secrets.token_bytes(_FILE_KEY_BYTES)
    header = b"\n".join([_VERSION, *(_stanza(key, file_key) for key in public_keys), b"---"])
    mac = hmac.digest(_derived(file_key, salt=b"", info=b"header"), header, "sha256")
    nonce = secrets.token_bytes(_NONCE_BYTES)
    write(header + b" " + _base64(mac) + b"\n" + nonce)
    cipher = ChaCha20Poly1305(_derived(file_key, salt=nonce, info=b"payload"))
    for number, (chunk, last) in enumerate(_chunks(pieces)):
        write(cipher.encrypt(number.to_bytes(_COUNTER_BYTES, "big") + bytes([last]), chunk, None))


def _stanza(public_key: str, file_key: bytes) -> bytes:
    """Return the lines of a header from which the holder of the private key gets the file key."""
    recipient, ephemeral = _key_bytes(public_key), X25519PrivateKey.generate()
    share = ephemeral.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient))
    wrap = ChaCha20Poly1305(_derived(shared, salt=share + recipient, info=_WRAPPED))
    return b"-> X25519 " + _base64(share) + b"\n" + _base64(wrap.encrypt(_WRAP_NONCE, file_key, None))


def _key_bytes(public_key: str) -> bytes:
    """Return the 32 bytes of a public key (age1...); the settings have checked that it is one."""
    words = [_ALPHABET.index(letter) for letter in public_key.lower().rpartition("1")[2][:-_CHECKSUM]]
    bits = "".join(f"{word:05b}" for word in words)
    return int(bits[: 8 * _KEY_BYTES], 2).to_bytes(_KEY_BYTES, "big")


def _chunks(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield the content in chunks of one size, and whether each is the last, which alone may be shorter."""
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        # A full buffer may be the last chunk: it waits for another byte.
        while len(buffer) > _CHUNK_BYTES:
            yield bytes(buffer[:_CHUNK_BYTES]), False
            del buffer[:_CHUNK_BYTES]
    yield bytes(buffer), True


def _derived(secret: bytes, *, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=salt, info=info).derive(secret)


def _base64(content: bytes) -> bytes:
    return base64.b64encode(content).rstrip(b"=")
