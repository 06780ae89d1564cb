"""A person's view: the UI of the deployed server shows what a client logged, and the HTML report opens.

Chromium runs headless from its command line, with a profile of its own; without it the tests are skipped, visibly.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from components.verify import page, runner
from components.verify.subjects import Subject
from tests.engine.calls import call

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.stack import LocalStack

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TRIES = 4

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed here (Debian: apt-get install chromium)"),
]


def opened(url: str, profile: Path) -> str:
    """The page as a browser has built it, after its scripts ran."""
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
    line = [str(BROWSER), *options, f"--user-data-dir={profile}", "--virtual-time-budget=30000", "--dump-dom", url]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_ui_shows_what_a_client_logged(deployed: LocalStack, tmp_path: Path) -> None:
    """The experiment of a client stands in the list that the UI's own scripts fetch and draw."""
    url = deployed.output("trackingUrl")
    name = f"seen by a person {time.time_ns()}"
    call(url, "experiments/create", {"name": name})
    # Virtual time may run out before a slow answer: a page that is not drawn yet is opened again.
    assert any(name in opened(f"{url}/#/experiments", tmp_path / str(number)) for number in range(TRIES))


def test_the_html_report_opens(deployed: LocalStack, tmp_path: Path) -> None:
    """The page of a full verification shows its verdict, its checks and its latency chart without a server."""
    report = runner.run(Subject.load(deployed.state.subject), profile="full")
    path = tmp_path / "report.html"
    path.write_text(page.html(report))
    text = opened(path.as_uri(), tmp_path / "profile")
    assert 'class="badge pass">pass</span>' in text
    assert text.count('<div class="bar"') > len(report.checks) / 2
