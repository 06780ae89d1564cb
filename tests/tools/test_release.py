"""The vendor's archive: taken only when it is what the vendor's checksums say."""

from __future__ import annotations

import hashlib
import io
import socket
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.tools.vendor import Vendor
from tools.bootstrap import checksums, pins, pulumi_cli, release
from tools.bootstrap.steps import StepFailedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tools.bootstrap.layout import Layout

PLATFORM = "linux-x64"
ARCHIVE = f"pulumi-v{pins.VERSION}-{PLATFORM}.tar.gz"
CHECKSUMS = f"pulumi-{pins.VERSION}-checksums.txt"


def packed(*programs: str) -> bytes:
    """An archive laid out as the vendor's: every program in one folder."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        for program in programs:
            body = f"#!/bin/sh\necho {program}\n".encode()
            member = tarfile.TarInfo(f"pulumi/{program}")
            member.size, member.mode = len(body), 0o755
            archive.addfile(member, io.BytesIO(body))
    return whole.getvalue()


GOOD = packed("pulumi", "pulumi-language-python")
LISTED = f"{hashlib.sha256(GOOD).hexdigest()}  {ARCHIVE}\n"


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    """A vendor with a good archive and its checksum."""
    made = Vendor()
    made.served = {ARCHIVE: GOOD, CHECKSUMS: LISTED.encode()}
    yield made
    made.close()


@pytest.fixture(autouse=True)
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of committed checksums, which holds none yet."""
    path = tmp_path / "checksums.txt"
    monkeypatch.setattr(checksums, "FILE", path)
    return path


def test_a_good_archive_is_unpacked_once(vendor: Vendor, tmp_path: Path) -> None:
    """The archive's programs can be run from the cache, and a second set-up asks the vendor for nothing."""
    folder = release.ensure(tmp_path, PLATFORM, vendor.environment)
    assert (folder / "pulumi").stat().st_mode & 0o111
    assert (folder / "pulumi-language-python").exists()
    assert not (folder / ARCHIVE).exists()
    vendor.asked.clear()
    assert release.ensure(tmp_path, PLATFORM, vendor.environment) == folder
    assert vendor.asked == []


def test_another_checksum_stops_the_set_up(vendor: Vendor, tree: Layout, no_programs: dict[str, str]) -> None:
    """Bytes that differ from the published checksum end the set-up: no other source is tried, and nothing is kept."""
    vendor.served[ARCHIVE] = packed("pulumi", "other")
    with pytest.raises(StepFailedError, match="published is") as failed:
        pulumi_cli.find(tree, {**no_programs, **vendor.environment})
    assert hashlib.sha256(GOOD).hexdigest() in str(failed.value)
    assert "\n" not in str(failed.value)
    assert [path.name for path in (tree.cache / "pulumi").iterdir() if path.is_dir()] == []


def test_what_the_vendor_publishes_does_not_stand_for_what_is_committed(
    vendor: Vendor, tree: Layout, no_programs: dict[str, str], pinned: Path
) -> None:
    """Whoever changes the archive on the vendor's host changes the checksum beside it too."""
    pinned.write_text(f"{checksums.HEADING}{'0' * 64}  {ARCHIVE}\n")
    with pytest.raises(StepFailedError, match="committed is 0000"):
        release.ensure(tree.cache, PLATFORM, vendor.environment)
    assert [path.name for path in (tree.cache / "pulumi").iterdir() if path.is_dir()] == []
    pinned.write_text(checksums.HEADING + LISTED)
    assert (release.ensure(tree.cache, PLATFORM, {**vendor.environment, "CI": "true"}) / "pulumi").exists()


def test_a_job_takes_nothing_that_is_not_committed(vendor: Vendor, tmp_path: Path) -> None:
    """Where nobody watches, the vendor is not even asked: the build is held by go.sum."""
    with pytest.raises(UnavailableError, match="no checksum"):
        release.ensure(tmp_path, PLATFORM, {**vendor.environment, "CI": "true"})
    assert vendor.asked == []


def test_a_job_does_not_take_what_its_machine_has_on_path(
    tree: Layout, program: Callable[..., Path], no_programs: dict[str, str]
) -> None:
    """A runner's own CLI is compared with no checksum of ours."""
    found = program("cli", "pulumi", f"echo v{pins.VERSION}")
    (found.parent / pulumi_cli.LANGUAGE_HOST).touch()
    environment = {**no_programs, "PATH": str(found.parent)}
    assert pulumi_cli.find(tree, environment).kind == "path"
    with pytest.raises(StepFailedError, match="no `go` on PATH"):
        pulumi_cli.find(tree, {**environment, "CI": "true"})


def test_the_checksums_of_every_platform_are_resolved_into_one_file(vendor: Vendor, pinned: Path) -> None:
    """A reviewer commits what the command found; an archive that cannot be had leaves the file as it was."""
    arguments = ["--releases", vendor.url, "--plugins", vendor.url]
    names = [name for _, name in checksums.archives()]
    assert len(set(names)) == 2 * len(pins.PLATFORMS)
    vendor.served = {name: name.encode() for name in names[1:]}
    assert checksums.main(arguments) == 1
    assert not pinned.exists()
    vendor.served[names[0]] = names[0].encode()
    assert checksums.main(arguments) == 0
    assert {name: checksums.committed(name) for name in names} == {
        name: hashlib.sha256(name.encode()).hexdigest() for name in names
    }
    assert checksums.committed("pulumi-v0.0.1-linux-x64.tar.gz") is None


@pytest.mark.parametrize(
    "published",
    [
        "",
        LISTED.replace(PLATFORM, "darwin-arm64"),
        LISTED[10:],
        LISTED.replace(ARCHIVE, f"{ARCHIVE}.sig"),
        "<html>not found</html>",
    ],
    ids=["empty", "another platform's only", "cut short", "another file's only", "a page"],
)
def test_an_archive_without_a_checksum_is_not_taken(vendor: Vendor, tmp_path: Path, published: str) -> None:
    """Without a published checksum the archive is not even asked for, and the set-up ends."""
    vendor.served[CHECKSUMS] = published.encode()
    with pytest.raises(StepFailedError, match="no SHA-256"):
        release.ensure(tmp_path, PLATFORM, vendor.environment)
    assert vendor.asked == [f"/{CHECKSUMS}"]


@pytest.mark.parametrize("missing", [ARCHIVE, CHECKSUMS])
def test_a_vendor_without_this_version_is_passed_over(vendor: Vendor, tmp_path: Path, missing: str) -> None:
    """A mirror that does not have this version is as good as none: the CLI can be built."""
    del vendor.served[missing]
    with pytest.raises(UnavailableError, match="answers 404"):
        release.ensure(tmp_path, PLATFORM, vendor.environment)


def test_a_download_that_breaks_off_is_passed_over(vendor: Vendor, tmp_path: Path) -> None:
    """Half an archive is a matter of the network, not of trust, and is not kept."""
    vendor.short_by = 100
    with pytest.raises(UnavailableError, match="broke off"):
        release.ensure(tmp_path, PLATFORM, vendor.environment)
    assert [path for path in (tmp_path / "pulumi").iterdir() if path.is_dir()] == []


def test_an_unreachable_vendor_falls_through_to_the_build(
    tree: Layout, no_programs: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nobody listens, one plain line says so and the next source is tried: here the build, without Go."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(StepFailedError, match="no `go` on PATH"):
            pulumi_cli.find(tree, {**no_programs, release.BASE_URL_VARIABLE: base})
    said = capsys.readouterr().err.splitlines()
    assert len([line for line in said if "not reachable" in line]) == 1


def test_a_vendor_that_does_not_answer_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a firewall that swallows packets the set-up goes on after a few seconds."""
    monkeypatch.setattr(release, "ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UnavailableError, match="did not answer within"):
            release.ensure(tmp_path, PLATFORM, {release.BASE_URL_VARIABLE: base})


def test_a_platform_without_an_archive_is_passed_over(vendor: Vendor, tmp_path: Path) -> None:
    """The vendor is not asked for a platform that it does not build for."""
    with pytest.raises(UnavailableError, match="no archive for this platform"):
        release.ensure(tmp_path, None, vendor.environment)
    assert vendor.asked == []


def test_an_archive_without_the_program_is_refused(vendor: Vendor, tmp_path: Path) -> None:
    """An archive with a right checksum and a wrong content says so, instead of failing later."""
    other = packed("something-else")
    vendor.served = {ARCHIVE: other, CHECKSUMS: f"{hashlib.sha256(other).hexdigest()}  {ARCHIVE}".encode()}
    with pytest.raises(StepFailedError, match="no program named pulumi"):
        release.ensure(tmp_path, PLATFORM, vendor.environment)


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "linux-x64"),
        ("Linux", "aarch64", "linux-arm64"),
        ("Darwin", "arm64", "darwin-arm64"),
        ("Linux", "riscv64", None),
        ("FreeBSD", "amd64", None),
    ],
)
def test_platforms_are_named_as_the_vendor_names_them(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, name: str | None
) -> None:
    """A wrong name would ask for an archive that is not there, and build for minutes instead."""
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert pins.platform_name() == name


def test_the_vendor_is_taken_before_a_build(
    vendor: Vendor, tree: Layout, program: Callable[..., Path], no_programs: dict[str, str]
) -> None:
    """Where the archive is to be had, Go is not started."""
    go = program("go", "go", "echo started >&2; exit 1")
    if pins.platform_name() is None:
        pytest.skip("the vendor has no archive for this platform")
    archive = f"pulumi-v{pins.VERSION}-{pins.platform_name()}.tar.gz"
    vendor.served = {archive: GOOD, CHECKSUMS: LISTED.replace(ARCHIVE, archive).encode()}
    source = pulumi_cli.find(tree, {**no_programs, "PATH": str(go.parent), **vendor.environment})
    assert source.kind == "release"
