"""The provider's plugin: installed by the real CLI, from an archive that is what its committed checksum says."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.aws import plugin
from scripts import preview
from tests.tools.projects import ROOT
from tests.tools.vendor import Vendor
from tools.bootstrap import checksums, pins, provider
from tools.bootstrap.steps import StepFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION = plugin.version()
ARCHIVE = checksums.plugin_archive(pins.platform_name() or "")


def packed(text: str) -> bytes:
    """An archive with one program."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        member = tarfile.TarInfo("pulumi-resource-aws")
        member.size, member.mode = len(text), 0o755
        archive.addfile(member, io.BytesIO(text.encode()))
    return whole.getvalue()


@pytest.fixture
def vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    """A vendor whose archive has a committed checksum."""
    monkeypatch.setattr(checksums, "FILE", tmp_path / "checksums.txt")
    good = packed("#!/bin/sh\n")
    checksums.FILE.write_text(f"{hashlib.sha256(good).hexdigest()}  {ARCHIVE}\n")
    made = Vendor()
    made.served = {ARCHIVE: good}
    yield made
    made.close()


@pytest.fixture
def job(tmp_path: Path, vendor: Vendor) -> dict[str, str]:
    """The environment of a job, with the project's own CLI and a home of its own."""
    return {
        "PATH": f"{ROOT / '.tools' / 'bin'}:{os.defpath}",
        "HOME": str(tmp_path),
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        provider.BASE_URL_VARIABLE: vendor.url,
        "CI": "true",
    }


def test_an_archive_with_the_committed_checksum_is_installed(job: dict[str, str]) -> None:
    """The engine then finds the plugin at hand, and fetches nothing by itself."""
    provider.ensure(job)
    assert plugin.at_hand(VERSION, job)


def test_another_archive_is_not_installed(job: dict[str, str], vendor: Vendor) -> None:
    """Whoever changes what the vendor's host serves does not get the deploy role's rights."""
    other = packed("#!/bin/sh\nexit 1\n")
    vendor.served = {ARCHIVE: other}
    with pytest.raises(StepFailedError, match=hashlib.sha256(other).hexdigest()):
        provider.ensure(job)
    assert not plugin.at_hand(VERSION, job)


@pytest.mark.parametrize("short_by", [0, 10])
def test_an_archive_that_cannot_be_had_is_one_sentence(job: dict[str, str], vendor: Vendor, short_by: int) -> None:
    """Missing, or broken off: with the way out."""
    vendor.short_by = short_by
    if not short_by:
        vendor.served = {}
    with pytest.raises(StepFailedError, match=provider.BASE_URL_VARIABLE):
        provider.ensure(job)
    assert not plugin.at_hand(VERSION, job)


def test_without_a_committed_checksum_nobody_is_asked(job: dict[str, str], vendor: Vendor) -> None:
    """What happens then is the program's to say: it refuses in a job."""
    checksums.FILE.unlink()
    provider.ensure(job)
    assert vendor.asked == []


@pytest.mark.parametrize(("stack", "asked"), [("dev", [f"/{ARCHIVE}"]), ("local", [])])
def test_a_preview_on_aws_installs_it_first(
    job: dict[str, str], vendor: Vendor, monkeypatch: pytest.MonkeyPatch, stack: str, asked: list[str]
) -> None:
    """The engine would fetch it by itself and hold it to no checksum; a local stack needs none."""
    monkeypatch.chdir(ROOT)
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PULUMI_DEBUG_PROVIDERS", raising=False)
    preview.bring_plugin(stack)
    assert vendor.asked == asked
    assert plugin.at_hand(VERSION, job) is bool(asked)
