"""The provider's plugin: what counts as at hand, and what is said if it cannot be had."""

from __future__ import annotations

import importlib.metadata
import os
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.aws import plugin
from mlflow_backend.contract import Refused

if TYPE_CHECKING:
    from pathlib import Path

VERSION = importlib.metadata.version("pulumi-aws")
FAILING = """echo '[resource plugin aws] installing'
for try in 1 2; do
  echo 'warning: Error downloading plugin: Get "https://plugins.example": dial tcp: no such host'
  echo 'Will retry [1/2]'
done
echo 'error: failed all 2 attempts' >&2
exit 1"""


def _environment(folder: Path, script: str | None = None) -> dict[str, str]:
    """A Pulumi home without plugins, and a `pulumi` that runs `script` and notes its arguments."""
    if script is not None:
        command = folder / "pulumi"
        command.write_text(f'#!/bin/sh\necho "$@" > {folder}/arguments\n{script}\n', encoding="utf-8")
        command.chmod(0o755)
    return {"PATH": f"{folder}:{os.defpath}", "PULUMI_HOME": str(folder / "home")}


def test_a_plugin_that_cannot_be_fetched_is_one_sentence_with_the_way_to_get_it(tmp_path: Path) -> None:
    """Instead of a warning for each of the engine's tries: what is missing, why, and the command."""
    with pytest.raises(Refused) as caught:
        plugin.require(_environment(tmp_path, FAILING))
    assert caught.value.finding == (
        f"Pulumi's provider plugin `aws` {VERSION} is not installed, and it could not be downloaded (no such host)."
    )
    assert f"pulumi plugin install resource aws v{VERSION} --file ARCHIVE" in caught.value.fix
    asked = (tmp_path / "arguments").read_text(encoding="utf-8")
    assert asked.startswith(f"plugin install resource aws v{VERSION} ")


def test_a_plugin_that_is_missing_is_fetched_as_the_engine_would(tmp_path: Path) -> None:
    """Where the download can be reached nobody has to do anything."""
    plugin.require(_environment(tmp_path, "exit 0"))
    assert (tmp_path / "arguments").exists()


def test_nothing_is_fetched_where_that_is_forbidden(tmp_path: Path) -> None:
    """The engine's own switch holds here too."""
    environment = {**_environment(tmp_path, "exit 0"), "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true"}
    with pytest.raises(Refused, match="PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"):
        plugin.require(environment)
    assert not (tmp_path / "arguments").exists()


def test_what_counts_as_at_hand(tmp_path: Path) -> None:
    """A provider that runs already, one on PATH, and an installed one of this version; not a half-installed one."""
    environment = _environment(tmp_path)
    assert not plugin.at_hand(VERSION, environment)
    assert plugin.at_hand(VERSION, {**environment, "PULUMI_DEBUG_PROVIDERS": "random:1,aws:41234"})
    assert not plugin.at_hand(VERSION, {**environment, "PULUMI_DEBUG_PROVIDERS": "awsx:41234"})
    folder = tmp_path / "home" / "plugins" / f"resource-aws-v{VERSION}"
    folder.mkdir(parents=True)
    assert plugin.at_hand(VERSION, environment)
    assert not plugin.at_hand("0.0.1", environment)
    folder.with_name(f"{folder.name}.partial").touch()
    assert not plugin.at_hand(VERSION, environment)
    on_path = tmp_path / "pulumi-resource-aws"
    on_path.touch(0o755)
    assert plugin.at_hand(VERSION, environment)


def test_a_job_fetches_nothing_by_itself(tmp_path: Path) -> None:
    """Where nobody watches, an archive that no reviewer has seen is not run with the deploy role's rights."""
    with pytest.raises(Refused) as caught:
        plugin.require({**_environment(tmp_path, "exit 0"), "CI": "true"})
    assert "tools.bootstrap.checksums" in caught.value.fix
    assert not (tmp_path / "arguments").exists()
