"""The base of resources that a module makes, over values that are kept in a dictionary."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pulumi.output import Unknown

from mlflow_backend.module_provider import ModuleProvider

if TYPE_CHECKING:
    from collections.abc import Mapping

PROPS = {"secret": "login", "names": ["password"]}


class KeptProvider(ModuleProvider):
    """Values of the module that `kept` puts in place."""

    module = "values_in_a_dictionary"


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The versions that are kept, by secret."""
    versions: dict[str, str] = {}

    def ensure(props: Mapping[str, Any]) -> dict[str, Any]:
        return {**props, "version": versions.setdefault(props["secret"], "1")}

    module = SimpleNamespace(
        REPLACING=("secret",),
        identifier=lambda props: f"id of {props['secret']}",
        ensure=ensure,
        current=lambda props: {**props, "version": versions[props["secret"]]} if props["secret"] in versions else None,
        changed=lambda olds, news: olds["version"] != versions.get(news["secret"]),
        delete=lambda props: versions.pop(props["secret"]),
    )
    monkeypatch.setitem(sys.modules, KeptProvider.module, module)  # type: ignore[arg-type]
    return versions


def test_a_secret_lives_from_its_creation_to_its_end(kept: dict[str, str]) -> None:
    """What is gone has no id, so that the next update makes it anew; what was changed is an update."""
    provider = KeptProvider()
    made = provider.create(PROPS)
    assert (made.id, made.outs) == ("id of login", {**PROPS, "version": "1"})
    assert provider.diff(made.id, made.outs or {}, PROPS).changes is False
    kept["login"] = "2"
    assert provider.diff(made.id, made.outs or {}, PROPS).changes is True
    assert provider.update(made.id, made.outs or {}, PROPS).outs == {**PROPS, "version": "2"}
    assert provider.read(made.id, PROPS).id == made.id
    provider.delete(made.id, PROPS)
    assert kept == {}
    assert (provider.read(made.id, PROPS).id, provider.read(made.id, PROPS).outs) == ("", PROPS)


def test_only_another_secret_is_another_resource(kept: dict[str, str]) -> None:
    """A replaced resource is made before the old one goes; another name of a value is an update."""
    made = KeptProvider().create(PROPS)
    kept["other"] = "1"
    replaced = KeptProvider().diff(made.id, made.outs or {}, {**PROPS, "secret": "other"})
    assert (replaced.changes, replaced.replaces) == (True, ["secret"])


def test_a_preview_of_unknown_inputs_asks_nothing(kept: dict[str, str]) -> None:
    """A platform cannot be asked about what is not known yet: it counts as changed."""
    made = KeptProvider().create(PROPS)
    assert kept == {"login": "1"}
    news = {**PROPS, "names": [Unknown()]}
    assert KeptProvider().diff(made.id, made.outs or {}, news).changes is True
