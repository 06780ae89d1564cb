"""A Pulumi program of a test, run by the real engine under the language host of this repository."""

from __future__ import annotations

import os
import subprocess
import textwrap
from pathlib import Path

from mlflow_backend.commands import running
from tools.bootstrap import files, pulumi_cli
from tools.bootstrap.layout import find_layout
from tools.offline import source_build

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 120


def files_of_the_tree(pattern: str) -> list[Path]:
    """Return the files that match, from the root of the repository: those in git, and new ones that it would take."""
    listed = subprocess.run(
        ("git", "ls-files", "--cached", "--others", "--exclude-standard", pattern),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout.split()
    return sorted(Path(name) for name in listed if (ROOT / name).exists())


def lay_out_programs(folder: Path) -> None:
    """Put the CLI that set-up has found into `folder`, with this repository's language host beside it.

    Where set-up found the vendor's CLI, the vendor's host would be beside it, and the tests would prove that one.
    """
    found = (ROOT / ".tools" / "bin" / "pulumi").resolve().parent
    for name in ("pulumi", "pulumi-language-python-exec", "pulumi-resource-pulumi-python"):
        files.link_or_copy(found / name, folder / name)
    host = folder / pulumi_cli.LANGUAGE_HOST
    host.write_text(source_build.launcher(find_layout(dict(os.environ)), folder))
    host.chmod(0o755)


class Project:
    """One program with one stack, `dev`, in a folder with a state and a Pulumi home of its own."""

    def __init__(self, folder: Path, programs: Path) -> None:
        """Lay out an empty program and make its stack; `programs` holds the CLI."""
        self.folder = folder
        self.programs = programs
        (folder / "state").mkdir(parents=True)
        self.options(virtualenv=str(ROOT / ".venv"))
        self.program("import pulumi")
        self.must("stack", "init", "dev")

    def options(self, **options: str) -> None:
        """Set `runtime.options` of the program."""
        lines = [f"    {name}: {value}" for name, value in options.items()]
        (self.folder / "Pulumi.yaml").write_text(
            "\n".join(["name: trial", "runtime:", "  name: python", "  options:", *lines]) + "\n"
        )

    def program(self, text: str) -> None:
        """Replace the program."""
        (self.folder / "__main__.py").write_text(textwrap.dedent(text))

    @property
    def environment(self) -> dict[str, str]:
        """What pulumi is run with."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")},
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "for tests only",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start one pulumi command; its output is one stream."""
        return subprocess.Popen(
            [str(self.programs / "pulumi"), *arguments, "--non-interactive", "--color", "never"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Who runs the tests in a shell's background, or under nohup, ignores SIGINT, and so would this.
            preexec_fn=running.take_interrupts,  # noqa: PLW1509
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run one pulumi command; its exit code and its output."""
        with self.start(*arguments) as process:
            try:
                said, _ = process.communicate(timeout=DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return process.returncode, said

    def must(self, *arguments: str) -> str:
        """Run one pulumi command that has to succeed; its output."""
        code, said = self.run(*arguments)
        assert code == 0, said
        return said
