"""What the engine finds as a provider: the stand-in, or the vendor's own plugin if one is named."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.rig.standin import plugin

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = plugin.PLUGIN.format(name="GCP")


def test_a_named_plugin_takes_the_place_of_the_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One variable, and the engine runs that executable, under the name and the version that the SDK asks for."""
    own = tmp_path / "pulumi-resource-gcp"
    own.write_text("#!/bin/sh\necho the vendor\n")
    own.chmod(0o755)
    monkeypatch.setenv(VARIABLE, str(own))
    program = plugin.install(tmp_path / "home", "pulumi_gcp")
    assert program.parent.name.startswith("resource-gcp-v")
    done = subprocess.run([str(program)], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "the vendor\n"


def test_a_plugin_that_is_not_there_is_no_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong path must not end as a green run of the stand-in."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nothing"))
    with pytest.raises(FileNotFoundError):
        plugin.install(tmp_path / "home", "pulumi_gcp")
