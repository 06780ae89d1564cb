"""The index of a backup's artifacts, and which artifacts an incremental copy reads again."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from mlflow_backend.backup.artifacts import StoredFile, content_key, decode_index, encode_index, plan_copy
from mlflow_backend.contract import PlatformFailed
from tests.components.backup.manifests import ID, artifact, digest

MODEL = artifact("1/run/artifacts/model.pkl", "model")
NOTE = artifact("1/run/artifacts/note \u2028 ü.txt", "no")
BEFORE = {MODEL.path: MODEL, NOTE.path: NOTE}
CONTENTS = {MODEL.content: 5, NOTE.content: 2}


def listed(path: str = MODEL.path, *, size_bytes: int = 5, stamp: str = "1") -> StoredFile:
    """Return a file of the artifact store, which is that of the model as it was backed up unless it is said."""
    return StoredFile(path=path, size_bytes=size_bytes, stamp=stamp)


def test_an_unchanged_artifact_is_not_read_again() -> None:
    """A daily backup reads what is new: artifacts are gigabytes that do not change."""
    plan = plan_copy([listed()], before=BEFORE, contents=CONTENTS)
    assert (plan.unchanged, plan.to_read, plan.bytes_to_read) == ((MODEL,), (), 0)


@pytest.mark.parametrize(
    "file", [listed("1/new.bin"), listed(size_bytes=6), listed(stamp="2")], ids=["new", "size", "stamp"]
)
def test_a_new_or_changed_artifact_is_read(file: StoredFile) -> None:
    """MLflow lets a run log an artifact again under the same path."""
    plan = plan_copy([file], before=BEFORE, contents=CONTENTS)
    assert (plan.unchanged, plan.to_read, plan.bytes_to_read) == ((), (file,), file.size_bytes)


@pytest.mark.parametrize("contents", [{}, {MODEL.content: 4}], ids=["gone", "cut"])
def test_an_artifact_whose_content_is_gone_or_cut_is_read(contents: dict[str, int]) -> None:
    """The next backup writes what the destination lost, or says why not, and does not name it for ever."""
    plan = plan_copy([listed()], before=BEFORE, contents=contents)
    assert plan.to_read == (listed(),)


def test_a_deleted_artifact_is_not_in_the_next_backup() -> None:
    """What a user deleted comes back from an older backup only."""
    plan = plan_copy([], before=BEFORE, contents=CONTENTS)
    assert (plan.unchanged, plan.to_read) == ((), ())


def test_a_plan_is_in_the_order_of_paths() -> None:
    """Two copies of the same store do the same, whatever the order of the listing."""
    plan = plan_copy([listed("b"), listed("a")], before={}, contents={})
    assert [file.path for file in plan.to_read] == ["a", "b"]


def test_equal_contents_have_one_key() -> None:
    """The same model in a hundred runs is stored once."""
    assert artifact("a", "same").content == artifact("b", "same").content == content_key(digest("same"))


@pytest.mark.parametrize("artifacts", [[], [MODEL], [NOTE, MODEL]], ids=len)
def test_an_index_is_read_as_it_was_written(artifacts: list[Any]) -> None:
    """A path may hold what looks like an end of line."""
    assert decode_index(encode_index(artifacts), backup=ID) == {each.path: each for each in artifacts}


@pytest.mark.parametrize(
    "change",
    [
        {"path": "/etc/passwd"},
        {"path": "../../x"},
        {"path": "a/./b"},
        {"path": "a//b"},
        {"path": ""},
        {"path": 1},
        {"size_bytes": -1},
        {"size_bytes": "5"},
        {"size_bytes": True},
        {"sha256": "../x"},
        {"sha256": 5},
        {"stamp": None},
        {"more": 1},
    ],
    ids=str,
)
def test_a_malformed_line_is_refused(change: dict[str, Any]) -> None:
    """No line leads a restore out of the artifact root, or to another key than that of a content."""
    line = json.dumps({**asdict(MODEL), **change}).encode()
    with pytest.raises(PlatformFailed) as refused:
        decode_index(encode_index([NOTE]) + line + b"\n", backup=ID)
    assert refused.value.code == "backup-index-malformed"
    assert "line 2" in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [encode_index([MODEL, NOTE])[:-9], b"\n", b"[]\n", b"\xff\n", encode_index([MODEL]) * 2],
    ids=["cut", "empty line", "list", "no text", "twice"],
)
def test_what_is_no_index_is_refused(content: bytes) -> None:
    """A path that is named twice would be restored as either of the two."""
    with pytest.raises(PlatformFailed) as refused:
        decode_index(content, backup=ID)
    assert refused.value.code == "backup-index-malformed"
