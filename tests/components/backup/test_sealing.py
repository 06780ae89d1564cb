"""Sealing to public keys: what it is opened by, and whose errors are whose."""

from __future__ import annotations

import io
import secrets
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.backup import age, sealing
from mlflow_backend.contract import PlatformFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STACK, PERSON, STRANGER = (sealing.new_key() for _ in range(3))
PIECES = [b"a" * 70_000, b"", b"b" * 70_000]


def sealed(*keys: str) -> bytes:
    """Return the pieces, sealed to the public halves of these private keys."""
    found = io.BytesIO()
    age.seal(PIECES, found.write, [sealing.public_key(key) for key in keys])
    return found.getvalue()


@pytest.mark.parametrize("key", [STACK, PERSON], ids=["stack", "person"])
def test_each_recipient_alone_opens_what_was_sealed(key: str) -> None:
    """The recovery key is enough if the stack is lost, and the stack's own key for a drill without a person."""
    assert sealing.unseal_bytes([sealed(STACK, PERSON)], key, part="dump") == b"".join(PIECES)


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 131_072])
def test_what_ends_at_a_chunk_is_opened_whole(size: int) -> None:
    """The last chunk of a stream is marked, also if it is full or the stream is empty."""
    found, content = io.BytesIO(), secrets.token_bytes(size)
    age.seal([content[:1000], content[1000:]], found.write, [sealing.public_key(PERSON)])
    assert sealing.unseal_bytes([found.getvalue()], PERSON, part="dump") == content


def test_another_key_opens_nothing_and_the_part_is_named() -> None:
    """A person who gives the wrong file learns that it is the key, and nothing is written."""
    found = io.BytesIO()
    with pytest.raises(PlatformFailed, match="tracking") as caught:
        sealing.unseal([sealed(PERSON)], found.write, STRANGER, part="tracking.dump")
    assert (caught.value.code, found.getvalue()) == ("backup-key-wrong", b"")


@pytest.mark.parametrize("change", [lambda it: it[:-1], lambda it: it[:-40] + bytes([it[-40] ^ 1]) + it[-39:]])
def test_what_was_cut_or_changed_is_not_opened(change: object) -> None:
    """The format authenticates every piece."""
    with pytest.raises(PlatformFailed):
        sealing.unseal_bytes([change(sealed(PERSON))], PERSON, part="dump")  # type: ignore[operator]


def test_an_error_of_reading_or_writing_is_not_taken_for_the_key() -> None:
    """A full disk is said to be one."""

    def failing() -> Iterator[bytes]:
        yield b"x"
        raise OSError(5, "input/output error")

    def full(_piece: bytes) -> int:
        raise OSError(28, "no space")

    with pytest.raises(OSError, match="input/output"):
        age.seal(failing(), io.BytesIO().write, [sealing.public_key(PERSON)])
    with pytest.raises(OSError, match="no space"):
        sealing.unseal([sealed(PERSON)], full, PERSON, part="dump")


def test_a_key_is_read_from_a_file_as_age_writes_it(tmp_path: Path) -> None:
    """With its comments; a file without a key, or none, is named."""
    path = tmp_path / "key.txt"
    path.write_text(f"# created: today\n# public key: age1\n{PERSON}\n")
    assert sealing.read_key(path) == PERSON
    path.write_text("AGE-SECRET-KEY-1NONE\n")
    with pytest.raises(UsageError):
        sealing.read_key(path)
    with pytest.raises(UsageError, match="missing"):
        sealing.read_key(tmp_path / "missing")
