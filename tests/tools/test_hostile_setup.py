"""A set-up in hostile surroundings: it works, or says in one line which file, why and what to do."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mlflow_backend import certificates
from tests.tools.projects import ROOT
from tools.bootstrap import files, pulumi_cli, python_env, setup, shell, stack
from tools.bootstrap.steps import StepFailedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tools.bootstrap.layout import Layout

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:9]),
    "garbage": lambda path: path.write_bytes(bytes(range(128, 256))),
    "empty": lambda path: path.write_bytes(b""),
    "a list": lambda path: path.write_bytes(b"[1]"),
    "null": lambda path: path.write_bytes(b"null"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}

NOTES = {
    "meta.yaml": "version: 1\n",
    "meta.yaml.attrs": '{"md5": "AA=="}',
    "stacks/trial/local.json.attrs": '{"md5": "AA=="}',
    "stacks/trial/local.json.bak.attrs": '{"md5": "AA=="}',
    "locks/organization/trial/local/a.json.attrs": '{"md5": "AA=="}',
}


def python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a piece of Python with the project's modules, in an environment of its own."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **variables}
    return subprocess.run(
        [sys.executable, *code.split(" ")] if code.startswith("-m") else [sys.executable, "-c", code],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_what_cannot_be_looked_into_on_path_is_passed_over(tree: Layout, program: Callable[..., Path]) -> None:
    """`su` and `sudo` leave folders of another user there, and every call on one is refused."""
    there = program("vendor", "pulumi", "echo 3.300.0")
    program("vendor", "pulumi-language-python", "exit 0")
    path = os.pathsep.join(["/" + "x" * 300, "/dev/null/bin", str(there.parent)])
    assert pulumi_cli.on_path(tree, {"PATH": path}) == there.parent


@pytest.mark.parametrize("home", ["/dev/null/nobody", "/proc/nobody"])
def test_a_home_that_cannot_hold_a_cache_is_named(home: str) -> None:
    """One line with the folder and another way, not a traceback."""
    found = python(
        "import sys\nfrom tools.bootstrap import files, setup\nfrom tools.bootstrap.layout import find_layout\n"
        "import os\n"
        "setup.ensure = lambda *a: files.locked(find_layout(dict(os.environ)).cache / 'lock', step='x').__enter__()\n"
        "sys.exit(setup.main([]))",
        HOME=home,
    )
    assert found.returncode == 1, found.stderr
    assert found.stderr.count("\n") == 1
    assert home in found.stderr
    assert "XDG_CACHE_HOME" in found.stderr


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EISDIR])
def test_a_refused_file_is_named_with_the_next_step(number: int) -> None:
    """Whatever the system refuses."""
    said = str(setup.refused(OSError(number, os.strerror(number), "/some/file")))
    assert said.startswith(f"/some/file: {os.strerror(number)}; ")
    assert ("free space" in said) is (number in {errno.ENOSPC, errno.EDQUOT})


def test_an_ascii_locale_writes_paths_of_any_alphabet(tmp_path: Path) -> None:
    """The activated shell names the folder as it is."""
    root = tmp_path / "ünï code"
    (root / "tools").mkdir(parents=True)
    found = python(
        "import sys; from pathlib import Path; from tools.bootstrap import shell\n"
        "from tools.bootstrap.layout import Layout\n"
        f"shell.ensure(Layout(root=Path({os.fsencode(root)!r}.decode(sys.getfilesystemencoding(), 'surrogateescape')), "
        "cache=Path('/')))",
        **ASCII,
    )
    assert found.returncode == 0, found.stderr
    assert str(root).encode() in (root / ".tools" / "activate").read_bytes()


def test_another_projects_modules_stay_outside(tree: Layout) -> None:
    """Neither the set-up, nor an activated shell, nor a recipe of make sees them."""
    foreign = dict.fromkeys(shell.OVERRIDING, "/somewhere")
    assert not set(foreign) & set(shell.without_overriding(foreign))
    assert not set(foreign) & set(shell.environment(tree, {"PATH": "/bin", **foreign}))
    shown = subprocess.run(
        ["make", "-f", "Makefile", "-f", "-", "show"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **foreign},
        input="show:\n\t@env\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    seen = {line.partition("=")[0] for line in shown.splitlines()}
    assert not {name for name in foreign if name.startswith("PYTHON")} - {"PYTHONDONTWRITEBYTECODE"} & seen
    assert "PYTHONUTF8=1" in shown


@pytest.mark.parametrize("how", DAMAGES)
def test_a_state_that_cannot_be_read_is_named_with_its_copy(
    tree: Layout, capfd: pytest.CaptureFixture[str], how: str
) -> None:
    """Pulumi says 'failed to load checkpoint', and no way out."""
    shell.ensure(tree)
    state = stack.state_file(tree, "local")
    files.write_whole(state, '{"version": 3, "checkpoint": {}}')
    copy = tree.state / ".pulumi" / "backups" / state.parent.name / "local" / "local.17.json"
    files.write_whole(copy, "{}")
    (tree.root / "Pulumi.local.yaml").write_text("encryptionsalt: v1:x\n")
    DAMAGES[how](state)
    stack.ensure(tree, "local", {})
    said = capfd.readouterr().err
    assert str(state) in said
    assert str(copy) in said


@pytest.mark.parametrize("how", DAMAGES)
def test_a_lock_that_cannot_be_read_is_named(tree: Layout, capfd: pytest.CaptureFixture[str], how: str) -> None:
    """Pulumi says 'invalid character', and no file."""
    shell.ensure(tree)
    state = stack.state_file(tree, "local")
    files.write_whole(state, '{"version": 3, "checkpoint": {}}')
    lock = tree.state / ".pulumi" / "locks" / "organization" / state.parent.name / "local" / "a.json"
    files.write_whole(lock, '{"pid": 1, "hostname": "elsewhere"}')
    DAMAGES[how](lock)
    stack.ensure(tree, "local", {})
    assert str(lock) in capfd.readouterr().err


@pytest.mark.parametrize("how", DAMAGES)
def test_what_the_set_up_wrote_is_written_again(tree: Layout, how: str) -> None:
    """A damaged note means that nothing is known to be done; a file to source is written anew."""
    shell.ensure(tree)
    for note in (tree.bin / pulumi_cli.STAMP, python_env.stamp_file(tree)):
        files.write_stamp(note, {"a": "b"})
        DAMAGES[how](note)
    assert not pulumi_cli.satisfied(tree)
    assert not python_env.satisfied(tree, "runtime")
    script = tree.tools / "activate"
    DAMAGES[how](script)
    if script.is_dir():
        with pytest.raises(IsADirectoryError, match="activate"):
            shell.ensure(tree)
    else:
        shell.ensure(tree)
        assert script.read_text() == shell.render(tree)


@pytest.mark.parametrize("how", [how for how in DAMAGES if how not in {"truncated", "a list", "null"}])
def test_a_passphrase_that_is_none_is_named(tree: Layout, how: str) -> None:
    """Pulumi says 'incorrect passphrase', and no file. Another line of text could be somebody's own."""
    shell.ensure(tree)
    phrase = shell.passphrase_file(tree)
    DAMAGES[how](phrase)
    with pytest.raises(StepFailedError) as failed:
        shell.ensure(tree)
    assert str(phrase) in str(failed.value)


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("note", NOTES)
def test_a_damaged_note_of_pulumis_is_taken_away_or_named(
    tree: Layout, capfd: pytest.CaptureFixture[str], note: str, how: str
) -> None:
    """Pulumi says 'EOF' of the one, and 'corrupt store' of the other; it writes both anew if there is none."""
    shell.ensure(tree)
    state = stack.state_file(tree, "local")
    files.write_whole(state, '{"version": 3, "checkpoint": {}}')
    path = tree.state / ".pulumi" / note
    files.write_whole(path, NOTES[note])
    stack.ensure(tree, "local", {})
    assert path.read_text() == NOTES[note]
    DAMAGES[how](path)
    if path.is_dir():
        with pytest.raises(StepFailedError) as failed:
            stack.ensure(tree, "local", {})
        assert str(path) in str(failed.value)
    else:
        stack.ensure(tree, "local", {})
        assert not path.exists()
        assert str(path) in capfd.readouterr().err


def test_a_lost_passphrase_is_not_replaced_beside_a_state(tree: Layout) -> None:
    """A new one could not read the secrets that are there, which Pulumi calls an incorrect passphrase."""
    shell.ensure(tree)
    files.write_whole(stack.state_file(tree, "local"), "{}")
    shell.passphrase_file(tree).unlink()
    with pytest.raises(StepFailedError, match="passphrase"):
        shell.ensure(tree)


def test_a_stack_without_settings_is_refused(tree: Layout) -> None:
    """A misspelt name left `Pulumi.typo.yaml` in the clone."""
    shell.ensure(tree)
    (tree.root / "Pulumi.local.yaml").write_text("config: {}\n")
    with pytest.raises(StepFailedError, match=r"Pulumi\.typo\.yaml.*name one of local"):
        stack.ensure(tree, "typo", {})
    assert not (tree.root / "Pulumi.typo.yaml").exists()


@pytest.mark.parametrize(
    ("variables", "configuration", "named"),
    [
        ({}, "[global]\ncert = {file}\n", True),
        ({}, "[install]\ncert = {file}\n", True),
        ({"PIP_CERT": "{file}"}, "", True),
        ({"PIP_CERT": "/no/such/file"}, "[global]\ncert = {file}\n", True),
        ({"SSL_CERT_FILE": "/the/users"}, "[global]\ncert = {file}\n", False),
        ({"UV_SYSTEM_CERTS": "false"}, "[global]\ncert = {file}\n", False),
        ({}, "no section\n", False),
        ({}, "[global]\nindex-url = x\n", False),
    ],
)
def test_uv_trusts_whom_pip_trusts(
    tmp_path: Path, variables: dict[str, str], configuration: str, *, named: bool
) -> None:
    """Where only pip was made ready for a proxy that opens TLS, uv ended in 'UnknownIssuer'."""
    file, settings = tmp_path / "ca.pem", tmp_path / "pip.conf"
    file.write_text("")
    settings.write_text(configuration.format(file=file))
    given = {name: value.format(file=file) for name, value in variables.items()}
    given = {**given, "PIP_CONFIG_FILE": str(settings), "XDG_CONFIG_DIRS": str(tmp_path)}
    found = certificates.for_uv(given)
    assert (found.get(certificates.FILE) == str(file)) is named
    assert found.items() >= given.items()
