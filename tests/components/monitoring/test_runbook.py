"""Whoever is woken finds what to do: each alert's link leads to a section with its four answers."""

from __future__ import annotations

import re

import pytest

from mlflow_backend.monitoring import ALERTS, Alert
from tests.server.services import PROJECT

PARTS = ("Meaning", "Check", "ause", "ommand")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_each_alert_has_a_section_that_says_meaning_check_cause_and_command(alert: Alert) -> None:
    """The link is in the alert itself, and a heading that was renamed would break it unseen."""
    file, _, anchor = alert.runbook.partition("#")
    sections = re.split(r"^## ", (PROJECT / file).read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = [each for each in sections if each.split("\n", 1)[0].lower() == anchor]
    assert len(found) == 1
    assert all(re.search(rf"^- .*{part}.*:", found[0], re.MULTILINE) for part in PARTS), found
