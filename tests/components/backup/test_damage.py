"""What is found to be wrong with a backup, and that nothing is found in a whole one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.backup.damage import (
    Kind,
    StoredObject,
    damaged_contents,
    damaged_parts,
    different_totals,
    refuse_damaged,
    refuse_unknown_schema,
)
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.schema import SchemaTable
from tests.components.backup.manifests import ID, artifact, digest, manifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.backup.manifest import Manifest

INDEX = {each.path: each for each in (artifact("1/a", "four"), artifact("1/b", "six"))}
TABLE = SchemaTable(revisions={"tracking": ("t1", "t2"), "auth": ("a1",)})


def stored(*, read: bool = True) -> dict[str, StoredObject]:
    """Return the objects of the whole backup as a look at them finds them, or as a listing does."""
    parts = manifest().parts
    return {
        each.object: StoredObject(size_bytes=each.size_bytes, sha256=each.sha256 if read else None) for each in parts
    }


@pytest.mark.parametrize("read", [True, False], ids=["read", "listed"])
def test_a_whole_backup_has_no_damage(*, read: bool) -> None:
    """A false alarm would have people turn the drill off."""
    assert damaged_parts(manifest(), stored(read=read)) == ()


@pytest.mark.parametrize("name", [part.object for part in manifest().parts])
@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda _: None, Kind.MISSING),
        (lambda whole: replace(whole, size_bytes=0), Kind.CUT),
        (lambda whole: replace(whole, size_bytes=whole.size_bytes - 1), Kind.CUT),
        (lambda whole: replace(whole, size_bytes=whole.size_bytes + 1), Kind.CHANGED),
        (lambda whole: replace(whole, sha256=digest("flipped")), Kind.CHANGED),
    ],
    ids=["missing", "empty", "cut", "longer", "flipped"],
)
def test_each_damage_of_each_part_is_named(
    name: str, change: Callable[[StoredObject], StoredObject | None], kind: Kind
) -> None:
    """There is no part whose damage a look at the backup overlooks."""
    found = stored()
    changed = change(found.pop(name))
    if changed:
        found[name] = changed
    assert [(damage.object, damage.kind) for damage in damaged_parts(manifest(), found)] == [(name, kind)]


def test_what_lies_beside_the_parts_is_no_damage() -> None:
    """The manifest itself and a drill's result lie in the same folder."""
    assert damaged_parts(manifest(), {**stored(), "manifest.json": StoredObject(size_bytes=1)}) == ()


def test_a_damaged_content_is_named_by_the_path_of_each_artifact() -> None:
    """Users know their artifacts' paths and no checksum."""
    a, b = INDEX["1/a"], INDEX["1/b"]
    found = {a.content: StoredObject(size_bytes=4, sha256=a.sha256), b.content: StoredObject(size_bytes=2)}
    assert [(each.object, each.kind) for each in damaged_contents(INDEX, found)] == [("1/b", Kind.CUT)]
    same = {"1/c": replace(a, path="1/c"), **INDEX}
    assert [each.object for each in damaged_contents(same, {b.content: StoredObject(size_bytes=3)})] == ["1/a", "1/c"]


def test_an_index_of_other_totals_is_found() -> None:
    """An index that lost lines at their ends is not the one that was written."""
    assert different_totals(manifest(), INDEX) == ()
    less = {"1/a": INDEX["1/a"]}
    assert [each.kind for each in different_totals(manifest(), less)] == [Kind.DIFFERENT]
    assert different_totals(manifest(), {**less, "1/b": artifact("1/b", "longer")})


@pytest.mark.parametrize("lost", [1, 5, 6, 1000])
def test_the_error_names_the_first_damages_and_counts_the_others(lost: int) -> None:
    """A destination that lost a thousand contents gives one readable line."""
    index = {f"1/{number:04}": artifact(f"1/{number:04}", str(number)) for number in range(lost)}
    with pytest.raises(PlatformFailed) as refused:
        refuse_damaged(ID, damaged_contents(index, {}))
    assert refused.value.code == "backup-damaged"
    assert refused.value.part == f"backup {ID}"
    assert refused.value.finding.count("is missing") == min(lost, 5)
    assert (f"{lost - 5} more" in refused.value.finding) == (lost > 5)


def test_no_damage_is_no_error() -> None:
    """A whole backup passes."""
    refuse_damaged(ID, ())


def with_heads(tracking: str | None, auth: str | None) -> Manifest:
    """Return the manifest of a backup whose databases are at these heads."""
    whole, heads = manifest(), {"tracking": tracking, "auth": auth}
    changed = {name: replace(dumped, head=heads[name]) for name, dumped in whole.databases.items()}
    return replace(whole, databases=changed)


@pytest.mark.parametrize(("tracking", "auth"), [("t2", "a1"), ("t1", "a1"), (None, None)])
def test_a_schema_of_any_known_version_passes(tracking: str | None, auth: str | None) -> None:
    """An old backup can be restored, because the migration lifts it, and so can one of empty databases."""
    refuse_unknown_schema(with_heads(tracking, auth), TABLE)


@pytest.mark.parametrize(("tracking", "auth"), [("t3", "a1"), ("t2", "a2"), ("t2", "t2")])
def test_a_schema_that_nobody_knows_is_refused(tracking: str, auth: str) -> None:
    """A restore that no server could run is refused before it makes a database."""
    with pytest.raises(Refused) as refused:
        refuse_unknown_schema(with_heads(tracking, auth), TABLE)
    assert refused.value.code == "backup-schema-unknown"
