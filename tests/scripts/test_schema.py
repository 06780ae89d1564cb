"""The JSON Schema that editors use says what the program accepts, and is kept current."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from mlflow_backend.contract import ExitCode
from mlflow_backend.settings import SettingsError, YamlSource, json_schema, load
from scripts import schema

if TYPE_CHECKING:
    from pathlib import Path

ROOT = schema.PATH.parents[1]


def test_the_schema_in_the_tree_is_current() -> None:
    """Editors complete the settings that the program has, not those it had."""
    assert json.loads(schema.PATH.read_text(encoding="utf-8")) == json_schema(), "run `make schema`"
    assert schema.main(["--check"]) is ExitCode.DONE


def test_an_outdated_schema_is_noticed_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--check` writes nothing and says so by its exit code; without it the file is made current."""
    path = tmp_path / "schema" / "settings.schema.json"
    monkeypatch.setattr(schema, "PATH", path)
    assert schema.main(["--check"]) is ExitCode.CHANGES
    assert not path.exists()
    assert schema.main([]) is ExitCode.DONE
    assert schema.main(["--check"]) is ExitCode.DONE


def test_the_schema_is_a_schema() -> None:
    """Editors can read it."""
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("stack_file", sorted(ROOT.glob("Pulumi.*.yaml")), ids=lambda path: path.name)
def test_every_stack_that_ships_conforms(stack_file: Path) -> None:
    """No stack file is underlined in an editor."""
    jsonschema.validate(yaml.safe_load(stack_file.read_text(encoding="utf-8")), json_schema())


def _stack(**sections: Any) -> dict[str, Any]:
    return {"config": {f"mlflow-backend:{key}": value for key, value in {"target": "local", **sections}.items()}}


@pytest.mark.parametrize(
    "document",
    [
        _stack(servr={}),
        _stack(server={"wrkers": 1}),
        _stack(server={"mlflowVersion": 3.1}),
        _stack(server={"workers": 0}),
        _stack(server={"jobs": "true"}),
        _stack(server={"extraFlags": {"a": 1}}),
        _stack(target="lokal"),
        _stack(verify={"extraChecks": [{"name": "Docs", "path": "/"}]}),
        {"config": {}},
    ],
)
def test_an_editor_underlines_what_the_program_refuses(document: dict[str, Any], tmp_path: Path) -> None:
    """A mistake in one value is seen while typing; the schema and the models agree on it."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, json_schema())
    stack = tmp_path / "Pulumi.x.yaml"
    stack.write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(SettingsError):
        load(YamlSource.read(stack))


@pytest.mark.parametrize(
    "document",
    [
        _stack(),
        {**_stack(), "encryptionsalt": "v1:abc"},
        _stack(tags={"secure": "v1:abc"}),
        {"config": {"mlflow-backend:target": "local", "aws:region": "eu-west-1", "pulumi:tags": {}}},
    ],
)
def test_what_is_pulumis_own_is_left_alone(document: dict[str, Any]) -> None:
    """Other namespaces, encryption and encrypted sections are not underlined."""
    jsonschema.validate(document, json_schema())
