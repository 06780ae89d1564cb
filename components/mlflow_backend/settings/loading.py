"""The way from raw text to settings, or to every problem at once."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from mlflow_backend import targets
from mlflow_backend.settings.models import Settings
from mlflow_backend.settings.problems import Problem, SettingsError, shown_key, unknown_key
from mlflow_backend.settings.rules import broken_rules
from mlflow_backend.settings.source import PulumiSource
from mlflow_backend.settings.translation import problems_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi

    from mlflow_backend.settings.source import ConfigSource

_SCALARS = frozenset({"target"})
_HOURLY = "0 * * * *"
_DEVELOPED_ON = frozenset({"local", "dev"})


def from_pulumi(config: pulumi.Config, *, stack: str) -> Settings:
    """Return the settings of the running program, of the stack of this name. Raises SettingsError."""
    return of_stack(load(PulumiSource(config=config)), stack)


def of_stack(settings: Settings, stack: str) -> Settings:
    """Return the settings of a stack's file with what is decided by the stack's name: a verification each hour.

    Unless the file says when, people develop on the stack, or nothing can verify it between updates.
    """
    verify = settings.verify
    if verify.schedule is not None or stack in _DEVELOPED_ON:
        return settings
    if targets.get(settings.target).unverified_between_updates(settings):
        return settings
    return settings.model_copy(update={"verify": verify.model_copy(update={"schedule": _HOURLY})})


def load(source: ConfigSource) -> Settings:
    """Return the settings that `source` holds. Raises SettingsError with every problem found."""
    document, problems = _parse(source)
    try:
        settings = _validated(document)
    except ValidationError as error:
        details = error.errors(include_url=False)
        problems += problems_of(details, Settings)
        problems += _rules_broken_besides(document, [detail["loc"] for detail in details], problems)
        raise SettingsError(problems) from None
    if problems:
        raise SettingsError([*problems, *_broken_besides(settings, problems)])
    refuse_broken(settings)
    return settings


def refuse_broken(settings: Settings) -> None:
    """Apply the rules of a stack's file to settings that a program made in code.

    Raises SettingsError with every rule that they break.
    """
    if problems := broken_rules(settings):
        raise SettingsError(problems)


def _validated(document: dict[str, Any]) -> Settings:
    """Return the settings of a stack's file, which has one spelling of each key. Raises ValidationError."""
    return Settings.model_validate(document, by_alias=True, by_name=False)


def _parse(source: ConfigSource) -> tuple[dict[str, Any], list[Problem]]:
    known = [field.alias or name for name, field in Settings.model_fields.items()]
    document: dict[str, Any] = {}
    problems: list[Problem] = []
    for key in source.keys():  # noqa: SIM118 - a source is no mapping
        text = source.get(key)
        if key not in known:
            problems.append(unknown_key(shown_key(key), key, known))
        elif key in _SCALARS:
            document[key] = text
        else:
            try:
                document[key] = json.loads(text or "")
            except (ValueError, RecursionError):
                fix = "Put its settings below it."
                problems.append(Problem(path=key, finding="is not a mapping", rule="it is a section", fix=fix))
    return document, problems


def _rules_broken_besides(
    document: dict[str, Any], mistaken: Sequence[tuple[int | str, ...]], known: Sequence[Problem]
) -> list[Problem]:
    """Return the rules that the rest of a mistaken document breaks, so that one round of fixing is enough.

    Mistaken values count as left out; what a rule then says about the same key is dropped, because it may not be so.
    """
    rest = copy.deepcopy(document)
    for location in mistaken:
        _leave_out(rest, location)
    try:
        settings = _validated(rest)
    except ValidationError:
        return []
    return _broken_besides(settings, known)


def _broken_besides(settings: Settings, known: Sequence[Problem]) -> list[Problem]:
    """Return the rules that the settings break, without those about a key that has a problem already."""
    paths = tuple(problem.path for problem in known)
    return [problem for problem in broken_rules(settings) if not problem.path.startswith(paths)]


def _leave_out(document: dict[str, Any], location: tuple[int | str, ...]) -> None:
    """Remove what is at `location`; of a list with a mistake in it, the whole."""
    part = document
    for key in location:
        child = part.get(str(key))
        if not isinstance(child, dict) or key == location[-1]:
            part.pop(str(key), None)
            return
        part = child
