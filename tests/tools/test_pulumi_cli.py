"""Which CLI is taken, and that what is there already is not made again."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tools.projects import ROOT
from tools.bootstrap import files, pins, pulumi_cli, release
from tools.bootstrap.steps import StepFailedError
from tools.offline import source_build

if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.bootstrap.layout import Layout

NOBODY = {release.BASE_URL_VARIABLE: "http://127.0.0.1:9"}
"""No vendor: nothing listens on the discard port."""

# Stands in for Go: it counts its builds, takes a moment over each, and lists a module that holds the two scripts.
GO = """
set -eu
case "$1" in
  build)
    echo build >> "$GO_LOG"
    while [ $# -gt 0 ]; do if [ "$1" = -o ]; then out=$2/pulumi; fi; shift; done
    sleep 0.2
    [ -z "${GO_FAILS:-}" ] || { echo "no such module" >&2; exit 1; }
    echo built > "$out"; chmod 755 "$out" ;;
  list) echo "$GO_MODULE" ;;
esac
"""


@pytest.fixture
def with_go(program: Callable[..., Path], tmp_path: Path) -> dict[str, str]:
    """An environment with a Go that builds in a moment, and no vendor."""
    go = program("go", "go", GO)
    for script in source_build.SDK_SCRIPTS:
        path = tmp_path / "module" / script
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("script")
    path = f"{go.parent}:/usr/bin:/bin"
    return {**NOBODY, "PATH": path, "GO_LOG": str(tmp_path / "builds"), "GO_MODULE": str(tmp_path / "module")}


def builds(environment: dict[str, str]) -> int:
    """How often Go has built."""
    return len(Path(environment["GO_LOG"]).read_text().splitlines())


@pytest.mark.parametrize(
    ("version", "taken"),
    [
        ("3.272.0", True),
        ("v3.272.0\n", True),
        ("3.272.1", True),
        ("3.999.1", True),
        ("3.271.9", False),
        ("2.999.0", False),
        ("4.0.0", False),
        ("3.272.0-alpha.1", False),
        ("", False),
        ("not a version", False),
    ],
)
def test_a_cli_serves_an_sdk_that_is_not_newer(monkeypatch: pytest.MonkeyPatch, version: str, *, taken: bool) -> None:
    """Of the SDK's major version: an SDK that is newer than its engine breaks in odd places."""
    monkeypatch.setattr(pins, "SDK", "3.272.0")
    assert pins.supported(version) is taken


def test_the_pinned_cli_serves_the_pinned_sdk() -> None:
    """They are published apart, so each moves to its newest; the scripts beside a built CLI are of its own version."""
    assert pins.supported(pins.VERSION)
    assert importlib.metadata.version("pulumi") == pins.SDK
    module = (ROOT / "tools" / "offline" / "go.mod").read_text()
    assert f"github.com/pulumi/pulumi/sdk/v3 v{pins.VERSION} " in module


def test_a_supported_cli_on_path_is_taken(tree: Layout, program: Callable[..., Path]) -> None:
    """The user's own CLI in the range is used as it is: nothing is downloaded or built, and it finds its own host."""
    cli = program("vendor", "pulumi", f"echo v{pins.VERSION}")
    program("vendor", pulumi_cli.LANGUAGE_HOST, "")
    pulumi_cli.ensure(tree, {**NOBODY, "PATH": str(cli.parent)})
    assert (tree.bin / "pulumi").resolve() == cli
    assert not (tree.bin / pulumi_cli.LANGUAGE_HOST).exists()


@pytest.mark.parametrize(
    ("answer", "host", "reason"),
    [
        ("echo v3.100.0", True, "it is v3.100.0, supported is"),
        ("echo v4.0.0", True, "it is v4.0.0, supported is"),
        ("echo broken >&2; exit 3", True, "ended with 3: broken"),
        (f"echo v{pins.VERSION}", False, "no pulumi-language-python beside it"),
    ],
)
def test_another_cli_on_path_is_passed_over(
    tree: Layout,
    program: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    answer: str,
    host: bool,  # noqa: FBT001 - a column of the table
    reason: str,
) -> None:
    """A CLI that would not serve is named with the reason, and the next source is tried."""
    cli = program("other", "pulumi", answer)
    if host:
        program("other", pulumi_cli.LANGUAGE_HOST, "")
    with pytest.raises(StepFailedError, match="no `go` on PATH"):
        pulumi_cli.find(tree, {**NOBODY, "PATH": str(cli.parent)})
    assert reason in capsys.readouterr().err


def test_a_clones_own_tools_are_no_source(tree: Layout, program: Callable[..., Path]) -> None:
    """In an activated shell `.tools/bin` of some clone is first on PATH: taking it would tie this clone to that one."""
    other = program("clone", "pulumi", f"echo v{pins.VERSION}")
    program("clone", pulumi_cli.LANGUAGE_HOST, "")
    files.write_stamp(other.parent / pulumi_cli.STAMP, {})
    assert pulumi_cli.on_path(tree, {"PATH": str(other.parent)}) is None


def test_a_built_cli_has_its_host_and_scripts_beside_it(tree: Layout, with_go: dict[str, str]) -> None:
    """What the engine looks for beside a built CLI is there, and can be run."""
    pulumi_cli.ensure(tree, with_go)
    assert {path.name for path in tree.bin.iterdir()} == {
        "pulumi",
        "pulumi-language-python",
        "pulumi-language-python-exec",
        "pulumi-resource-pulumi-python",
        pulumi_cli.STAMP,
    }
    assert all(os.access(path, os.X_OK) for path in tree.bin.iterdir() if path.name != pulumi_cli.STAMP)


def test_a_second_set_up_does_nothing(tree: Layout, with_go: dict[str, str]) -> None:
    """What is there is kept, not made again: also when Go and the vendor are gone by then."""
    pulumi_cli.ensure(tree, with_go)
    before = {path: path.stat().st_mtime_ns for path in tree.bin.iterdir()}
    pulumi_cli.ensure(tree, {"PATH": ""})
    assert {path: path.stat().st_mtime_ns for path in tree.bin.iterdir()} == before


def test_a_second_clone_shares_the_build(tree: Layout, with_go: dict[str, str]) -> None:
    """The build is kept for the machine: a tree whose `.tools` is gone has it back without Go."""
    pulumi_cli.ensure(tree, with_go)
    (tree.bin / "pulumi").unlink()
    pulumi_cli.ensure(tree, {**NOBODY, "PATH": ""})
    assert (tree.bin / "pulumi").read_text() == "built\n"
    assert builds(with_go) == 1


@pytest.mark.parametrize("changed", ["go.sum", "go.mod"])
def test_other_pins_are_another_build(tree: Layout, with_go: dict[str, str], changed: str) -> None:
    """A changed pin makes the CLI anew: an old binary must not pass for the new one."""
    pulumi_cli.ensure(tree, with_go)
    with (tree.go_module / changed).open("a") as pins_file:
        pins_file.write("\n")
    assert not pulumi_cli.satisfied(tree)
    pulumi_cli.ensure(tree, with_go)
    assert builds(with_go) == 2


def test_a_damaged_cli_is_put_back(tree: Layout, with_go: dict[str, str]) -> None:
    """A CLI of another size than was put there is replaced from the cache."""
    pulumi_cli.ensure(tree, with_go)
    (tree.bin / "pulumi").unlink()
    (tree.bin / "pulumi").write_text("bui")
    pulumi_cli.ensure(tree, with_go)
    assert (tree.bin / "pulumi").read_text() == "built\n"


def test_two_set_ups_at_once_build_once(tree: Layout, with_go: dict[str, str]) -> None:
    """The second one waits for the first one's build and takes it."""
    found: list[Path] = []
    both = [
        threading.Thread(target=lambda: found.append(source_build.ensure(tree.cache, tree.go_module, with_go)))
        for _ in range(2)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join(30)
    assert found[0] == found[1]
    assert builds(with_go) == 1


def test_a_failed_build_leaves_nothing_and_says_why(tree: Layout, with_go: dict[str, str]) -> None:
    """One line with what failed, why and what to do; the next try begins from nothing and can succeed."""
    with pytest.raises(StepFailedError, match=r"building the Pulumi CLI: .*no such module; check that Go") as failed:
        pulumi_cli.ensure(tree, {**with_go, "GO_FAILS": "yes"})
    assert "\n" not in str(failed.value)
    assert [path for path in (tree.cache / "pulumi").iterdir() if path.is_dir()] == []
    pulumi_cli.ensure(tree, with_go)
    assert (tree.bin / "pulumi").exists()


def test_what_an_interrupted_build_left_is_cleared(tree: Layout, with_go: dict[str, str]) -> None:
    """A killed set-up's half build is neither taken for a whole one nor kept for ever."""
    key = source_build.cache_key(tree.go_module)
    half = tree.cache / "pulumi" / f"{pins.VERSION}-{key}.partial-killed"
    half.mkdir(parents=True)
    (half / "pulumi").write_text("ha")
    pulumi_cli.ensure(tree, with_go)
    assert not half.exists()
    assert (tree.bin / "pulumi").read_text() == "built\n"


def test_settings_of_the_user_do_not_change_the_build(tree: Layout, with_go: dict[str, str], tmp_path: Path) -> None:
    """A workspace or flags that a developer has set for other work would build another program under the same name."""
    seen = tmp_path / "seen"
    go = tmp_path / "go" / "go"
    go.write_text(go.read_text().replace("set -eu", f'set -eu; echo "$CGO_ENABLED/$GOFLAGS/$GOWORK" > {seen}'))
    environment = {**with_go, "GOFLAGS": "-mod=mod", "GOWORK": "/elsewhere/go.work", "CGO_ENABLED": "1"}
    source_build.ensure(tree.cache, tree.go_module, environment)
    assert seen.read_text() == "0//off\n"


def test_an_old_python_is_refused_by_name() -> None:
    """The entry point can be parsed by a Python that is too old, and so reaches the sentence that says so."""
    entry = (ROOT / "tools" / "bootstrap" / "__main__.py").read_text()
    ast.parse(entry, feature_version=(3, 7))
    program = entry.replace("sys.version_info < (3, 11)", "True")
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert "needs 3.11 or newer" in ended.stderr
