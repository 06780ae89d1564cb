"""Problems in this project's words for pydantic's errors, without the values that pydantic carries along."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, get_args

from pydantic import BaseModel

from mlflow_backend.settings.problems import Problem, kind, shown_key, unknown_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails

_WANTED = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}
_RULES = {
    "value_error": "{error}",
    "greater_than_equal": "it must be {ge} or more",
    "less_than_equal": "it must be {le} or less",
    "string_too_short": "it must not be empty",
    "string_too_long": "it may have at most {max_length} characters",
    "string_pattern_mismatch": "it must match {pattern}",
}
# The branches of `str | bool`: pydantic reports one error a branch, and appends its name to the location.
_UNION_BRANCHES = {"str": "string_type", "bool": "bool_type"}


def problems_of(errors: Sequence[ErrorDetails], root: type[BaseModel]) -> list[Problem]:
    """Return one problem for each mistake in `errors`, which pydantic found in a document for `root`."""
    found: dict[tuple[str, str], Problem] = {}
    for error in errors:
        problem = _either(error) if _is_union_branch(error) else _problem(error, root)
        found.setdefault((problem.path, problem.rule), problem)
    return list(found.values())


def _is_union_branch(error: ErrorDetails) -> bool:
    return _UNION_BRANCHES.get(str(error["loc"][-1])) == error["type"]


def _either(error: ErrorDetails) -> Problem:
    wanted = "text, or true for a switch"
    return Problem(
        path=_path(error["loc"][:-1]),
        finding=f"is {kind(error['input'])}",
        rule=f"it must be {wanted}",
        fix="Put it in quotes.",
    )


def _problem(error: ErrorDetails, root: type[BaseModel]) -> Problem:
    path, found = _path(error["loc"]), kind(error["input"])
    match error["type"]:
        case "extra_forbidden":
            return unknown_key(path, str(error["loc"][-1]), _keys_of(root, error["loc"][:-1]))
        case "missing":
            return Problem(path=path, finding="is missing", rule="it has no default", fix="Set it.")
        case "literal_error":
            allowed = str(error["ctx"]["expected"])
            fix = _nearest(error["input"], allowed)
            return Problem(path=path, finding=f"is {found} outside the choices", rule=f"allowed: {allowed}", fix=fix)
        case wrong if wrong in _WANTED:
            fix = "Put it in quotes." if wrong == "string_type" else "Write it so; numbers and true go without quotes."
            return Problem(path=path, finding=f"is {found}", rule=f"it must be {_WANTED[wrong]}", fix=fix)
        case other:
            context: Mapping[str, object] = error.get("ctx", {})
            rule = _RULES.get(other, f"pydantic's rule {other}").format_map(context)
            return Problem(path=path, finding="is outside its rule", rule=rule, fix="Change it to fit.")


def _nearest(value: object, allowed: str) -> str:
    choices = [choice.strip("' ") for choice in allowed.replace(" or ", ",").split(",")]
    near = difflib.get_close_matches(value, choices, n=1) if isinstance(value, str) else []
    return f"Did you mean {near[0]}?" if near else "Use one of them."


def _path(location: Sequence[int | str]) -> str:
    return ".".join(shown_key(str(part)) for part in location)


def _keys_of(root: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """Return the keys that the model at `location` knows, as they are written in YAML."""
    model: type[BaseModel] = root
    for part in location:
        for field in model.model_fields.values():
            if field.alias == part:
                model = _model_in(field.annotation) or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _model_in(argument))), None)
