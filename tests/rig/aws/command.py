"""`aws` as it is typed, on botocore's own models: what a page or a message offers is run as it stands.

The AWS CLI derives its commands and options from the same models. What they do not have is refused, as it is there:
an unknown service, operation or option ends with 252.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

import boto3
import jmespath
from botocore import xform_name
from botocore.exceptions import ClientError, ParamValidationError
from botocore.session import get_session

if TYPE_CHECKING:
    from collections.abc import Sequence

_USAGE: Final = 252
_REFUSED: Final = 254
_NAMES: Final = {"s3api": "s3"}
_OWN: Final = ("region", "query", "output")


def main(words: Sequence[str]) -> int:
    """Run one command; returns the AWS CLI's exit code."""
    if len(words) < 2 or words[0] not in {*get_session().get_available_services(), *_NAMES} - set(_NAMES.values()):
        _unknown(" ".join(words[:1]))
    service, operation = _NAMES.get(words[0], words[0]), words[1]
    model = get_session().get_service_model(service)
    names = {xform_name(each, "-"): each for each in model.operation_names}
    if operation not in names:
        _unknown(operation)
    given = _options(words[2:])
    own = {name: str(given.pop(name)[0]) for name in _OWN if name in given}
    shape = model.operation_model(names[operation]).input_shape
    client: Any = boto3.session.Session(region_name=own.get("region")).client(service)  # type: ignore[call-overload]
    try:
        answer = getattr(client, xform_name(names[operation]))(**_parameters(shape, given))
    except (ClientError, ParamValidationError) as error:
        print(error, file=sys.stderr)
        return _REFUSED
    answer.pop("ResponseMetadata")
    found = jmespath.search(own["query"], answer) if "query" in own else answer
    print(found if own.get("output") == "text" else json.dumps(found, indent=4, default=str))
    return 0


def _options(words: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name = word.removeprefix("--")
            found[name] = []
        elif name:
            found[name].append(word)
        else:
            _unknown(word)
    return found


def _parameters(shape: Any, given: dict[str, list[str]]) -> dict[str, Any]:
    members = {xform_name(name, "-"): (name, each) for name, each in (shape.members if shape else {}).items()}
    found = {}
    for option, values in given.items():
        plain = option.removeprefix("no-")
        if option not in members and not (plain in members and members[plain][1].type_name == "boolean"):
            _unknown(f"--{option}")
        name, member = members.get(option) or members[plain]
        found[name] = option == plain if member.type_name == "boolean" else _value(member, values, option)
    return found


def _value(member: Any, values: list[str], option: str) -> Any:
    if member.type_name == "list" and member.member.type_name == "string":
        return values
    if len(values) != 1:
        _unknown(f"--{option} {' '.join(values)}")
    if member.type_name in {"structure", "list", "map"}:
        return json.loads(values[0])
    if member.type_name in {"integer", "long"}:
        return int(values[0])
    return float(values[0]) if member.type_name in {"float", "double"} else values[0]


def _unknown(what: str) -> NoReturn:
    print(f"aws: unknown: {what}", file=sys.stderr)
    sys.exit(_USAGE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
