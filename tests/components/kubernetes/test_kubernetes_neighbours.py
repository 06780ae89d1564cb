"""Backends beside each other, by their documents: in one namespace, and of one name in two namespaces."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from mlflow_backend.kubernetes.naming import CACHE, CANDIDATE, DATABASE, JOB, SERVER
from tests.components.kubernetes import documents
from tests.components.kubernetes.stacks import naming, settings_of

if TYPE_CHECKING:
    from mlflow_backend.kubernetes.naming import Naming

_PARTS: Final = (SERVER, CANDIDATE, DATABASE, CACHE, JOB)


def all_of(name: Naming, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return every document of a backend of that naming."""
    monkeypatch.setattr(documents, "naming", lambda _: name)
    return list(documents.all_of(settings_of("own-s3")).values())


@pytest.fixture
def first() -> Naming:
    """The backend of the stack that ships."""
    return naming(settings_of())


@pytest.mark.parametrize("other", [{"stack": "second"}, {"namespace": "elsewhere"}, {"name": "another"}])
def test_no_object_of_one_is_an_object_of_another(
    first: Naming, other: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is published into a third namespace too: the last update would win, and clients would write elsewhere."""
    named = [
        {(each["kind"], each["metadata"]["namespace"], each["metadata"]["name"]) for each in all_of(name, monkeypatch)}
        for name in (first, replace(first, **other))
    ]
    assert not named[0] & named[1]


@pytest.mark.parametrize("other", [{"stack": "second"}, {"name": "another"}])
def test_in_one_namespace_nothing_selects_the_pods_of_another(
    first: Naming, other: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither Services, nor what owns pods, nor network policies: whom they protect, and whom they let in."""
    second = replace(first, **other)
    selected = [each for document in all_of(first, monkeypatch) for each in selectors(document)]
    assert len(selected) > 20
    for part in _PARTS:
        own, strange = first.own_labels(part), second.own_labels(part)
        assert any(each.items() <= own.items() for each in selected), part
        assert not [each for each in selected if each.items() <= strange.items()], part


def selectors(found: Any) -> list[dict[str, str]]:
    """Return the labels of every selector of pods in a document."""
    if isinstance(found, list):
        return [each for item in found for each in selectors(item)]
    if not isinstance(found, dict):
        return []
    labels = [found["matchLabels"]] if "matchLabels" in found else []
    if isinstance(plain := found.get("selector"), dict) and "matchLabels" not in plain:
        labels.append(plain)
    nested = [value for key, value in found.items() if key != "namespaceSelector"]
    return labels + [each for value in nested for each in selectors(value)]
