"""Vulnerable versions: the table's shape, which versions it refuses, and what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mlflow_backend.contract import ExitCode, PlatformFailed, Refused
from mlflow_backend.releases.plan import Request, plan
from mlflow_backend.releases.text import plan_document, plan_lines
from mlflow_backend.server import parse_version
from mlflow_backend.settings import Settings, SettingsError, YamlSource, load
from mlflow_backend.settings.vulnerable import known_vulnerabilities, refuse_vulnerable
from mlflow_backend.vulnerabilities import note
from mlflow_backend.vulnerabilities.table import identifiers, known, of_version, parse
from tests.components.releases.contexts import MIGRATED

ROOT = Path(__file__).resolve().parents[3]
# The advisories that the project promises to know, and the last release that each of them hits.
NAMED = {"CVE-2024-2928": "2.11.2", "CVE-2026-2635": "3.7.0", "CVE-2026-2652": "3.10.1", "CVE-2026-0545": "3.10.1"}
ROW = """
[[vulnerability]]
id = "CVE-2026-99999"
what = "reads files"
fixed = "3.5.0"
source = "https://example.com/advisory"
seen = 2026-11-27
"""
LOCKED = sorted(path.stem for path in (ROOT / "server" / "requirements").glob("*.txt"))


def settings(version: str, *, target: str = "ecs", mode: str = "basic", accept: Any = (), **server: Any) -> Settings:
    """Return settings of a version."""
    return Settings.model_validate(
        {
            "target": target,
            "server": {"mlflowVersion": version, **server},
            "access": {"mode": mode},
            "policy": {"acceptVulnerabilities": list(accept)},
        }
    )


def test_each_row_says_range_source_and_date_and_its_test_exists() -> None:
    """A table that cannot be read refuses nothing by accident: reading it checks its shape."""
    assert len(known()) > 50
    for row in known():
        if row.test:
            path, _, name = row.test.partition("::")
            assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), row.test


@pytest.mark.parametrize(("identifier", "last"), sorted(NAMED.items()))
def test_the_promised_advisories_are_known_with_their_last_release(identifier: str, last: str) -> None:
    """Each is in the table, and ends where its source says."""
    row = next(row for row in known() if row.id == identifier)
    assert row.affects(parse_version(last))
    assert row.fixed is not None
    assert not row.affects(row.fixed)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('fixed = "3.5.0"', "", "fixed"),
        ('fixed = "3.5.0"', 'fixed = "3.5"', "no release"),
        ('fixed = "3.5.0"', 'fixed = "3.5.0"\nintroduced = "3.6.0"', "ends before it begins"),
        ("seen = 2026-11-27", "", "seen"),
        ("seen = 2026-11-27", 'seen = "today"', "seen"),
        ("https://example.com/advisory", "", "source"),
        ("CVE-2026-99999", "CVE-x", "id"),
        ("reads files", "", "what"),
        ("seen =", 'needs = "luck"\nseen =', "needs"),
        ("seen =", 'closed = "by hope"\nseen =', "closed"),
        ("seen =", 'closed = "by us"\ntest = "somewhere"\nseen =', "test"),
        ("seen =", "score = 9\nseen =", "score"),
        ("seen =", 'aliases = ["CVE-2026-99999"]\nseen =', "twice"),
        ("seen =", "seen", "TOML"),
    ],
)
def test_a_row_that_says_too_little_is_no_row(old: str, new: str, said: str) -> None:
    """A range, a source or a date that is missing or malformed is found by whoever reads the table."""
    assert parse(ROW)
    with pytest.raises(PlatformFailed, match=said):
        parse(ROW.replace(old, new))


def test_what_a_source_leaves_open_counts_as_affected() -> None:
    """No end and no begin: every release; both: from the first to the last before the end."""
    (unknown,) = parse(ROW.replace("3.5.0", "unknown"))
    (ranged,) = parse(ROW.replace("seen =", 'introduced = "3.4.0"\nseen ='))
    versions = [parse_version(each) for each in ("2.9.0", "3.4.0", "3.4.9", "3.5.0", "9.0.0")]
    assert [unknown.affects(each) for each in versions] == [True] * 5
    assert [ranged.affects(each) for each in versions] == [False, True, True, False, False]


@pytest.mark.parametrize("version", LOCKED)
@pytest.mark.parametrize("mode", ["basic", "token"])
def test_every_version_that_can_be_built_is_refused_until_each_name_is_accepted(version: str, mode: str) -> None:
    """Outside local: refused while one is left, free when all are accepted, and each is named on the way."""
    found = [row.id for row in known_vulnerabilities(settings(version, mode=mode)).open]
    for left in range(len(found)):
        with pytest.raises(Refused, match=found[left]) as caught:
            refuse_vulnerable(settings(version, mode=mode, accept=found[:left]))
        assert caught.value.exit_code is ExitCode.REFUSED
    warnings = refuse_vulnerable(settings(version, mode=mode, accept=found))
    assert all(any(name in warning for warning in warnings) for name in found)


@pytest.mark.parametrize("version", LOCKED)
def test_local_warns_and_goes_on(version: str) -> None:
    """One's own machine may serve anything, and says what."""
    asked = settings(version, target="local", mode="none")
    warnings = refuse_vulnerable(asked)
    assert all(row.id in " ".join(warnings) for row in known_vulnerabilities(asked).open)
    assert bool(warnings) == bool(known_vulnerabilities(asked).open)


def test_only_what_acts_with_the_settings_is_refused() -> None:
    """Permissions of MLflow's users do not matter to API keys, nor job routes if no job runs."""
    version = "3.10.1"

    def found(**asked: Any) -> set[str]:
        return {row.needs for row in known_vulnerabilities(settings(version, **asked)).open}

    assert found(mode="token") == {""}
    assert found(mode="basic") == {"", "basic"}
    assert found(mode="token", jobs=True) == {"", "jobs"}


def test_what_is_closed_here_or_acts_in_a_client_is_not_refused() -> None:
    """The administrator's password is ours, and a model is loaded where its user is."""
    assert "CVE-2026-2635" not in {row.id for row in of_version(parse_version("3.4.0"))}
    assert not any(row.client for row in of_version(parse_version("2.9.2")))


def test_an_unknown_name_is_refused_with_its_key() -> None:
    """A name that is mistyped, or of a client's vulnerability, accepts nothing silently."""
    client = next(row.id for row in known() if row.client)
    for name in ("CVE-2026-0000", "all", client):
        with pytest.raises(SettingsError, match=r"policy\.acceptVulnerabilities\.0"):
            load({"target": "local", "policy": f'{{"acceptVulnerabilities": ["{name}"]}}'})


def test_a_name_that_is_not_needed_is_reported() -> None:
    """An acceptance that outlives its version is found."""
    assert any(
        "Remove it" in each for each in refuse_vulnerable(settings("3.17.2", mode="token", accept=identifiers()[:1]))
    )


def test_the_stacks_that_ship_pass() -> None:
    """Each shipped stack serves a version against which nothing is known, or accepts it by name."""
    shipped = {path.name: refuse_vulnerable(load(YamlSource.read(path))) for path in ROOT.glob("Pulumi.*.yaml")}
    assert {"Pulumi.local.yaml", "Pulumi.dev.yaml", "Pulumi.staging.yaml"} <= shipped.keys()


def test_a_rollback_to_a_vulnerable_version_says_so() -> None:
    """The plan names them and is not refused; a version that nobody knows is reported as such."""
    made = plan(MIGRATED, Request(to_version="3.4.0", restore=True))
    assert "CVE-2026-2652" in " ".join(plan_lines(made))
    assert plan_document(made)["knownVulnerabilities"] == note("3.4.0")
    assert "unknown" in note("unknown")
