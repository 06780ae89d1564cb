"""The image's build arguments: none is left unresolved."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.server.services import PROJECT

BASE = "docker.io/library/python:3.12-slim-trixie@sha256:" + "0a" * 32
SCRIPT = PROJECT / "server" / "tools" / "image_arguments.py"


def called(version: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Call it as the workflow does."""
    command = [sys.executable, SCRIPT, version, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_supported_version_gets_all_arguments() -> None:
    """Version, heads, base, certificates and source revision, one a line."""
    done = called("3.17.2", "--base", BASE, "--revision", "abc")
    given = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert done.returncode == 0
    assert given["BASE_IMAGE"] == BASE
    assert (given["MLFLOW_VERSION"], given["TRACKING_HEAD"]) == ("3.17.2", "dc11669786a5")
    assert given["RDS_CA_URL"].startswith("https://truststore.pki.rds.amazonaws.com/")
    assert (len(given["RDS_CA_SHA256"]), given["SOURCE_REVISION"]) == (64, "abc")


def test_the_base_is_the_dockerfiles_own() -> None:
    """It is committed, by digest: a tag would be another image at each build."""
    done = called("3.17.2", "--revision", "abc")
    assert done.returncode == 0
    (base,) = re.findall(r"^ARG BASE_IMAGE=(.+)$", (PROJECT / "server" / "Dockerfile").read_text(), re.MULTILINE)
    assert f"BASE_IMAGE={base}\n" in done.stdout


@pytest.mark.parametrize(
    ("version", "options", "words"),
    [
        ("3.17.2", ("--base", "python:3.12-slim-trixie", "--revision", "abc"), "not named by digest"),
        ("3.17.2", ("--base", "python:3.12-slim-trixie@", "--revision", "abc"), "not named by digest"),
        ("3.17.2", ("--base", BASE[:-1], "--revision", "abc"), "not named by digest"),
        ("3.17.2", ("--base", BASE, "--revision", ""), "source revision is empty"),
        ("3.17.2", ("--base", BASE, "--revision", "abc", "--certificates-sha256", "none"), "not a SHA-256"),
        ("3.99.0", ("--base", BASE, "--revision", "abc"), "has no lock"),
    ],
)
def test_what_is_not_resolved_stops_before_the_build(version: str, options: tuple[str, ...], words: str) -> None:
    """A digest that was not found, a checksum that nobody knows, an unknown version: a sentence and nothing else."""
    done = called(version, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
