"""Each policy through the real engine: a violating and a clean example, and what is not known yet."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.commands import policing
from mlflow_backend.policy.catalogue import POLICIES
from mlflow_backend.report import events
from tests.policy import echo
from tests.tools.projects import Project, lay_out_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow_backend.report.events import Stream

pytestmark = pytest.mark.engine

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).parent / "programs"


class PolicedProject(Project):
    """A program that is previewed under the pack; its event stream is kept."""

    @property
    def environment(self) -> dict[str, str]:
        """Pulumi takes --event-log only with its debugging commands, as the Automation API asks for them."""
        return {**super().environment, "PULUMI_DEBUG_COMMANDS": "true"}

    def preview(self, name: str, **levels: str) -> tuple[int, Stream]:
        """Preview one of the example programs, at other levels than the pack's own where they are given."""
        for source in PROGRAMS.glob("*.py"):
            shutil.copy(source, self.folder)
        shutil.copy(PROGRAMS / f"{name}.py", self.folder / "__main__.py")
        log = self.folder / f"{name}.jsonl"
        code, said = self.run(
            "preview", *policing.options(levels, self.folder), "--event-log", str(log),
        )  # fmt: skip
        print(said)
        return code, events.read(log.read_text(encoding="utf-8").splitlines())


@pytest.fixture(scope="module")
def preview(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., tuple[int, Stream]]]:
    """One project for the module; each example program is previewed once."""
    folder = tmp_path_factory.mktemp("policed")
    programs = folder / "programs"
    programs.mkdir()
    lay_out_programs(programs)
    echo.install(programs, ROOT / ".venv" / "bin" / "python", ROOT)
    project = PolicedProject(folder / "project", programs)
    done: dict[str, tuple[int, Stream]] = {}

    def once(name: str, **levels: str) -> tuple[int, Stream]:
        key = json.dumps([name, levels])
        if key not in done:
            done[key] = project.preview(name, **levels)
        return done[key]

    return once


@pytest.mark.parametrize("policy", [policy.name for policy in POLICIES])
def test_a_violating_example_is_found(preview: Callable[..., tuple[int, Stream]], policy: str) -> None:
    """Each policy finds every resource that was made to violate it, and the preview is refused."""
    code, stream = preview("violating")
    assert code != 0
    made = {step.name for step in stream.steps if step.name.startswith(policy)}
    found = {events.name_of(said.urn) for said in stream.violations if said.policy == policy}
    assert made
    assert made <= found


@pytest.mark.parametrize("policy", [policy.name for policy in POLICIES])
def test_a_clean_example_passes(preview: Callable[..., tuple[int, Stream]], policy: str) -> None:
    """Each policy checks something in the clean program, and finds nothing."""
    code, stream = preview("clean")
    assert [(said.policy, said.urn, said.message) for said in stream.violations if said.policy == policy] == []
    assert any(policy in judged.passed for judged in stream.evaluations)
    assert code == 0


@pytest.mark.parametrize("policy", ["iam-without-wildcards", "images-by-digest", "ingress-closed", "no-plain-secrets"])
def test_what_is_not_known_yet_is_no_pass(preview: Callable[..., tuple[int, Stream]], policy: str) -> None:
    """The library says that it could not run the policy, in the words that the report looks for, and no more."""
    _, stream = preview("first")
    told = [said for said in stream.violations if said.policy == policy]
    assert [(said.level, "can't run policy" in said.message) for said in told] == [("advisory", True)]


def test_a_stack_chooses_its_levels(preview: Callable[..., tuple[int, Stream]]) -> None:
    """Advisory findings are reported and refuse nothing; a disabled policy says nothing."""
    code, stream = preview("violating", all="advisory", tagged="disabled")
    assert code == 0
    levels = {said.level for said in stream.violations}
    assert levels == {"advisory"}
    assert not [said for said in stream.violations if said.policy == "tagged"]
