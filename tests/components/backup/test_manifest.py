"""The manifest of a backup: what is written is read again, and nothing else is believed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from mlflow_backend.backup.manifest import Manifest, decode, encode
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.schema import Heads
from tests.components.backup.manifests import ID, manifest


def code_of(content: bytes, *, backup: str = ID) -> str:
    """Return the code with which a manifest is refused."""
    with pytest.raises(PlatformFailed) as refused:
        decode(content, backup=backup)
    return refused.value.code


def signed(document: dict[str, Any]) -> bytes:
    """Return a document with the checksum that belongs to it, as somebody would write it who means harm."""
    checksum = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    return json.dumps({**document, "checksum": checksum}).encode()


def document() -> dict[str, Any]:
    """Return the written manifest without its checksum."""
    written: dict[str, Any] = json.loads(encode(manifest()))
    del written["checksum"]
    return written


@pytest.mark.parametrize("written", [manifest(), replace(manifest(), keys=None)], ids=["keys", "no keys"])
def test_a_manifest_is_read_as_it_was_written(written: Manifest) -> None:
    """A restore on another machine knows all that was known when the backup was made."""
    assert decode(encode(written), backup=ID) == written


def test_every_object_of_the_folder_is_a_part() -> None:
    """What is not a part is never verified."""
    whole = manifest()
    names = [part.object for part in whole.parts]
    assert names == ["tracking.dump", "auth.dump", "artifacts.jsonl", "settings.yaml", "keys.sealed"]
    assert "keys.sealed" not in [part.object for part in replace(whole, keys=None).parts]


def test_the_heads_are_those_of_both_databases() -> None:
    """The decision about a restore is made from these."""
    whole = manifest()
    assert whole.heads == Heads(tracking="t2", auth="a1")
    alone = replace(whole, databases={"tracking": whole.databases["tracking"]})
    assert alone.heads == Heads(tracking="t2")


@pytest.mark.parametrize("size", [0, 1, 100, -2])
def test_a_cut_manifest_is_refused(size: int) -> None:
    """The end of a manifest is its checksum, so half a manifest is never taken for a small backup."""
    assert code_of(encode(manifest())[:size]) == "backup-manifest-cut"


@pytest.mark.parametrize("content", [b"[]", b"1", b"null", b"\xff\xfe", b"{}"])
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    """Whatever lies at the key, the answer is an error with a code."""
    assert code_of(content) == "backup-manifest-cut"


def test_a_changed_manifest_is_refused() -> None:
    """Counts that were changed would let a drill pass that lost rows."""
    assert code_of(encode(manifest()).replace(b'"runs": 3', b'"runs": 2')) == "backup-manifest-changed"


def test_a_manifest_of_another_format_is_refused() -> None:
    """A newer release may mean something else by the same keys."""
    assert code_of(signed({**document(), "format": "mlflow-backend/backup/2"})) == "backup-manifest-of-other-format"


def test_the_manifest_of_another_backup_is_refused() -> None:
    """A manifest that was copied into another folder would name objects that are not those beside it."""
    assert code_of(encode(manifest()), backup="20261127T020000Z-0a1b2c") == "backup-manifest-malformed"


@pytest.mark.parametrize(
    "change",
    [
        {"taken_at": "2026-11-28T02:00:00"},
        {"taken_at": "yesterday"},
        {"databases": {}},
        {"databases": {"auth": document()["databases"]["auth"]}},
        {
            "databases": {
                **document()["databases"],
                "postgres": {**document()["databases"]["auth"], "object": "other.dump"},
            }
        },
        {"databases": {"tracking": {**document()["databases"]["tracking"], "head": 2}}},
        {"databases": {"tracking": {**document()["databases"]["tracking"], "rows": {"runs": -1}}}},
        {"databases": []},
        {"samples": {"runs": 3}},
        {"mlflow_version": None},
        {"stack": ""},
        {"environment_lock": 1},
        {"identity": None},
        {"artifacts": {**document()["artifacts"], "mode": "both"}},
        {"artifacts": {**document()["artifacts"], "files": -1}},
        {"artifacts": {**document()["artifacts"], "files": True}},
        {"artifacts": {**document()["artifacts"], "files": "2"}},
        {"settings": None},
        {"settings": {**document()["settings"], "object": "../settings.yaml"}},
        {"settings": {**document()["settings"], "object": "/etc/passwd"}},
        {"settings": {**document()["settings"], "object": ".."}},
        {"settings": {**document()["settings"], "object": "tracking.dump"}},
        {"settings": {**document()["settings"], "object": "manifest.json"}},
        {"settings": {**document()["settings"], "sha256": "abc"}},
        {"settings": {**document()["settings"], "sha256": 1}},
    ],
    ids=str,
)
def test_a_malformed_entry_is_refused(change: dict[str, Any]) -> None:
    """No entry leads a restore out of the backup's folder, names one twice, or lacks what a restore needs."""
    assert code_of(signed({**document(), **change})) == "backup-manifest-malformed"


@pytest.mark.parametrize("key", sorted(set(document()) - {"format"}))
def test_a_missing_entry_is_refused(key: str) -> None:
    """There is no entry that a restore could guess."""
    left = document()
    del left[key]
    assert code_of(signed(left)) == "backup-manifest-malformed"
