"""The plan of an upgrade: what it says of schema, vulnerabilities, locations, clients, and of going back."""

from __future__ import annotations

import itertools
import json

import pytest

from mlflow_backend.environments import locked_versions
from mlflow_backend.migrate.forecast import Seen, announcement
from mlflow_backend.migrate.known import forecast
from mlflow_backend.migrate.locations import bound, names_host, refused, roots
from mlflow_backend.migrate.side_by_side import MEASURED
from mlflow_backend.migrate.upgrade import Upgrade, clients_in
from mlflow_backend.schema_tables import required_heads
from mlflow_backend.server import parse_version
from mlflow_backend.vulnerabilities.table import of_version

FTP, PROXIED = "ftp://files.example/1", "mlflow-artifacts:/1"
STORE = "s3://b/root/artifacts"


def planned(served: str, to: str, *, live: str | None = None, **more: object) -> Upgrade:
    """The plan from one version to another, with the database at the head of `live` (default: of the served one)."""
    heads = required_heads(live or served, auth=False)
    seen = None if heads is None or live == "" else Seen(heads=heads)
    made = forecast(to, seen)
    return Upgrade(served=parse_version(served), to=parse_version(to), forecast=made, **{"store": STORE, **more})  # type: ignore[arg-type]


def test_an_upgrade_says_what_is_pending_and_what_going_back_costs() -> None:
    """The revisions, the downtime, and a restore with its time are all in the lines and in the document."""
    plan = planned("3.4.0", "3.17.2", dump_bytes=20_000_000, migration_s=33.4, drill_s=71.2)
    lines = "\n".join(plan.lines())
    assert "pending" in lines
    assert "took 33 s" in lines
    assert "about 10 s" in plan.rollback
    assert "took 71 s" in plan.rollback
    document = plan.document()
    assert document["schema"]["pending"]
    assert json.loads(json.dumps(document)) == document


def test_an_upgrade_within_the_schema_costs_nothing_to_go_back() -> None:
    """If both versions have the same schema, no dump is restored."""
    plan = planned("3.17.2", "3.17.2")
    assert plan.rollback.startswith("nothing is restored")
    assert "pending" not in plan.document()["schema"]


def test_what_is_not_known_of_the_schema_is_not_promised() -> None:
    """A version that the table does not have is not said to be safe, nor that nothing is migrated for it."""
    plan = planned("3.4.0", "3.99.0", locked=False)
    assert plan.rollback.startswith("not known")
    (downtime,) = (line for line in plan.lines() if line.startswith("downtime"))
    assert "not known" in downtime


def test_a_version_without_a_lock_is_said_with_the_command_that_makes_it() -> None:
    """No update can serve it before, whatever else the plan says; of one that has its lock there is nothing to do."""
    lines = "\n".join(planned("3.4.0", "3.99.0", locked=False).lines())
    assert "scripts.lock_server 3.99.0" in lines
    assert planned("3.4.0", "3.99.0", locked=False).document()["locked"] is False
    assert "lock_server" not in "\n".join(planned("3.4.0", "3.17.2").lines())


def test_vulnerabilities_left_gained_and_kept_are_of_the_table() -> None:
    """Each known one is in exactly one of the three, if either version has it."""
    plan = planned("2.9.2", "3.17.2")
    either = {row.id for version in (plan.served, plan.to) for row in of_version(version)}
    assert sorted([*plan.left, *plan.gained, *plan.kept]) == sorted(either)
    assert plan.left


@pytest.mark.parametrize(
    ("location", "root", "named"),
    [
        (FTP, "ftp://files.example", True), ("sftp://h:22/x", "sftp://h:22", True), ("http://h/x", "http://h", True),
        ("mlflow-artifacts://h:5000/x", "mlflow-artifacts://h:5000", True), ("ftp:///x", "ftp://", True),
        ("abfss://c@account.dfs.core.windows.net/x", "abfss://c@account.dfs.core.windows.net", True),
        (PROXIED, "", False), ("s3://bucket/x", "s3://bucket", False), ("gs://bucket", "gs://bucket", False),
        ("/data/x", "", False), ("models:/m-1", "", False), ("", "", False),
    ],
)  # fmt: skip
def test_a_location_names_a_host_as_mlflow_says(location: str, root: str, named: bool) -> None:  # noqa: FBT001
    """A bucket is no host, and neither is the tracking server itself."""
    assert roots([location]) == {root: 1}
    assert names_host(root) is named


@pytest.mark.parametrize(
    ("served", "to", "count"),
    [("3.10.1", "3.17.0", 2), ("2.9.2", "3.17.2", 2), ("3.17.0", "3.17.2", 0), ("2.9.2", "3.16.0", 0)],
)
def test_locations_are_refused_by_what_crosses_3_17(served: str, to: str, count: int) -> None:
    """What both versions refuse, or neither, is no matter of the upgrade."""
    counts = roots([FTP, FTP, PROXIED, "s3://b/x"])
    found = refused(counts, served=parse_version(served), to=parse_version(to))
    assert found == ({"ftp://files.example": count} if count else {})
    plan = planned(served, to, live="3.10.1", roots={"runs": counts})
    assert any("ftp://files.example: 2, whose location" in line for line in plan.lines()) is bool(count)
    assert any("s3://b: 1, bound" in line for line in plan.lines())
    assert plan.document()["boundLocations"] == {"runs": {"ftp://files.example": 2, "s3://b": 1}}


@pytest.mark.parametrize(
    ("store", "lost"),
    [
        (STORE, {}),
        ("s3://b", {}),
        ("s3://other/root/artifacts", {"s3://b": 2}),
        ("gs://b/artifacts", {"s3://b": 2}),
    ],
)
def test_locations_outside_the_settings_store_are_counted(store: str, lost: dict[str, int]) -> None:
    """Another bucket leaves behind what is bound to the one before, and not what the server proxies."""
    plan = planned("3.10.1", "3.10.1", store=store, roots={"runs": roots([PROXIED, "s3://b/1", "s3://b/2"])})
    assert plan.document()["outsideLocations"] == {"runs": lost}
    assert any(f"outside {store}" in line for line in plan.lines()) is bool(lost)
    assert any("bound to it" in line for line in plan.lines()) is not bool(lost)
    assert any("s3://b: 2, outside" in line for line in plan.summary()) is bool(lost)


def test_a_preview_summarises_a_change_of_the_version() -> None:
    """Vulnerabilities, refused locations and the command for the rest; a preview without a change says none of it."""
    plan = planned("3.10.1", "3.17.2", roots={"runs": roots([FTP])})
    known, beside, refusal, rest = plan.summary()
    assert plan.beside in beside
    assert all(each in known for each in (*plan.left, *plan.gained))
    assert "ftp://files.example: 1, whose location" in refusal
    assert "scripts.upgrade" in rest
    said = announcement({"upgrade": list(plan.summary())})
    assert said is not None
    assert all(line in said for line in plan.summary())
    assert announcement({}) is None


def test_neighbours_among_the_versions_that_ship_were_mixed() -> None:
    """A plan between two of them says what a rolling update showed; any other plan says that it is not known."""
    assert [*MEASURED] == [*itertools.pairwise(locked_versions())]
    for (old, new), found in MEASURED.items():
        plan = planned(old, new)
        assert plan.beside.startswith("yes" if found.works else "no:")
        assert plan.document()["sideBySide"] in "\n".join(plan.lines())
        assert found.works or found.why
    assert planned("2.9.2", "3.17.2").beside.startswith("not known")


def test_what_stands_before_a_host_is_never_shown() -> None:
    """A location may hold a password, and one host with two of them is one host."""
    counts = roots(["ftp://ann:secret@h:21/1", "ftp://bob:other@h/2"])
    assert bound(counts) == {"ftp://h": 2}
    assert "secret" not in json.dumps(planned("3.10.1", "3.17.2", roots={"runs": counts}).document())


def test_what_could_not_be_asked_is_said() -> None:
    """No word of refused locations would read as none."""
    assert any("not asked: away" in line for line in planned("3.10.1", "3.17.2", not_asked="away").lines())


def test_clients_are_counted_in_the_access_log() -> None:
    """Lines of other kinds, broken lines and other programs count for none."""
    asked = ("3.4.0", "2.22.5", "3.4.0", "")
    lines = [
        *("  | " + json.dumps({"kind": "access", "mlflow_client": each}, separators=(",", ":")) for each in asked),
        '{"kind":"access", broken',
        json.dumps(['"kind":"access"']),
        "Starting server",
        '{"kind":"audit","mlflow_client":"9.9.9"}',
    ]
    counted = clients_in(lines)
    assert list(counted.items()) == [("2.22.5", 1), ("3.4.0", 2)]
    assert any(
        "2.22.5: loses none (requests: 1)" in line for line in planned("3.10.1", "3.17.2", clients=counted).lines()
    )


def test_what_a_client_loses_is_of_both_servers() -> None:
    """Going up no client loses anything; the other way one of MLflow 3 could log no model any more."""
    assert planned("2.22.5", "3.17.2").lost_by("2.9.2") == ()
    assert "model_by_artifact_path" in planned("3.17.2", "2.22.5").lost_by("3.17.2")
