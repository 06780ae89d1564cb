"""The `gcp` cloud of the stand-in: what the protocol asks, for the types of `kinds`, and refused for others."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from tests.rig.standin import asked, sdk
from tests.rig.standin.base import Difference, HalfMade, Refused
from tests.rig.standin.equality import same
from tests.rig.standin.gcp import kinds, translate
from tests.rig.standin.gcp.kinds import KINDS, Document, Grant, Special, Values
from tests.rig.standin.sdk import Problem
from tests.rig.standin.values import UNKNOWN, is_known

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.standin.base import Resource
    from tests.rig.standin.gcp.api import Api

_SETTINGS: Final = frozenset({"project", "region", "zone", "defaultLabels"})
_PLACES: Final = ("project", "region", "location")
_DRAWN: Final = {"secretId", "name", "accountId"}


class Gcp:
    """The `gcp` provider as one SDK declares it."""

    def __init__(self, declared: sdk.Sdk, api: Api) -> None:
        self._sdk, self._api, self.version = declared, api, declared.version
        self._settings: Values = {}
        self._granting = threading.Lock()

    def check_settings(self, settings: Mapping[str, Any]) -> list[Problem]:
        """Return what is wrong with the provider's settings, and which ones the stand-in does not do."""
        plain = asked.settings(settings, self._sdk.settings)
        missing = [
            Problem(name, "the stand-in does not do this setting of the provider")
            for name in plain
            if name in self._sdk.settings and name not in _SETTINGS
        ]
        return sdk.problems(self._sdk.settings, plain) + missing

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Take project and region. Raises Refused without a project."""
        self._settings = asked.settings(settings, self._sdk.settings)
        if "project" not in self._settings:
            raise Refused("gcp:project: the provider has no project")

    def check(self, resource: Resource, news: Mapping[str, Any], seed: bytes) -> tuple[dict[str, Any], list[Problem]]:
        """Check inputs against the SDK. A name has to be given: the program must be able to find it again."""
        declared, settable = self._sdk.resource(resource.token), _settable(resource.token)
        inputs = dict(news)
        found = sdk.problems(declared.inputs, inputs)
        found += [
            Problem(name, f"the stand-in does not translate this property of {resource.token} yet")
            for name in inputs
            if name in declared.inputs and name not in settable
        ]
        found += [Problem(name, "it is not given") for name in _DRAWN & settable & set(declared.inputs) - set(inputs)]
        return inputs, found

    def diff(self, resource: Resource, news: Mapping[str, Any]) -> Difference:
        """Compare the state with what is wanted; what only Google decides is no difference."""
        declared = self._sdk.resource(resource.token)
        changed = []
        for name in sorted(set(news) | set(resource.inputs)):
            exact = name in declared.inputs and declared.inputs[name].kind.name == "map"
            before = resource.state.get(name)
            if name in news:
                differs = not same(_plain(name, news[name]), _plain(name, before), exact=exact)
            else:
                # Taken out of the program: what Google always has a value for stays as it is.
                differs = name not in declared.computed and before not in (None, [], {}, "")
            if differs:
                changed.append(name)
        replacing = tuple(name for name in changed if name in _replacing(resource.token))
        # Two resources cannot have one name at a time.
        return Difference(changed=tuple(changed), replacing=replacing, delete_first=bool(replacing))

    def planned(self, resource: Resource, news: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs, what is known already, and unknowns for the rest."""
        computed = dict.fromkeys(self._sdk.resource(resource.token).computed, UNKNOWN)
        places = {key: each for key, each in self._places.items() if key in computed}
        if resource.id:
            kept = {name: value for name, value in resource.state.items() if name not in resource.inputs}
            return {**kept, **news}
        return {**computed, **places, **news}

    def create(self, resource: Resource, news: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Make it. Raises HalfMade for one that is there and did not become ready."""
        wanted = asked.known(resource, news)
        values, kind = self._placed(wanted), KINDS.get(resource.token)
        if kind is None:
            id_ = Special.create(self._api, resource.token, values)
        elif isinstance(kind, Grant):
            self._grant(kind, values, there=True)
            condition = f"/{values['condition']['title']}" if "condition" in values else ""
            member = "" if kind.whole else f"/{values['member']}"
            id_ = f"{kind.resource.format_map(values)}/{values['role']}{member}{condition}"
        else:
            id_ = self._make(kind, values)
        return id_, self._read(resource.token, id_, values, wanted)

    def read(self, resource: Resource) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Look at it. An import has its inputs from what is there; only documents can be imported."""
        kind = KINDS.get(resource.token)
        values = {**resource.state, **resource.inputs}
        if not resource.inputs:
            if not isinstance(kind, Document):
                raise Refused(f"{resource.token}: the stand-in does not import this type yet")
            values = _named(kind, resource.id)
        state = self._read(resource.token, resource.id, self._placed(values), resource.inputs)
        names = resource.inputs or _settable(resource.token)
        return resource.id, state, {name: state[name] for name in names if name in state}

    def update(self, resource: Resource, news: Mapping[str, Any]) -> dict[str, Any]:
        """Change it."""
        wanted, kind = asked.known(resource, news), KINDS.get(resource.token)
        values = self._placed({**resource.state, **wanted})
        changed = self.diff(resource, news).changed
        if kind is None:
            Special.update(self._api, resource.token, values)
        elif isinstance(kind, Grant):
            self._grant(kind, values, there=True)
        else:
            self._change(kind, values, dict(resource.state), wanted, changed)
        return self._read(resource.token, resource.id, values, wanted)

    def delete(self, resource: Resource) -> None:
        """Delete it; what the provider protects is refused."""
        kind, state = KINDS.get(resource.token), self._placed(dict(resource.state))
        if kind is None:
            Special.delete(self._api, resource.token, state)
        elif isinstance(kind, Grant):
            self._grant(kind, state, there=False)
        else:
            kinds.refuse_protected(kind, state)
            path = self._path(kind, state)
            if kind.before_delete:
                kind.before_delete(self._api, path, state)
            self._wait(kind, self._api.call("DELETE", _host(kind), path), state)

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
        """Refuse every function: the program asks Google itself."""
        raise Refused(f"{token}: the stand-in answers no function")

    def cancel(self) -> None:
        """Refuse every further call."""
        self._api.cancelled.set()

    def _placed(self, values: Mapping[str, Any]) -> Values:
        found = {**self._places, **values}
        if "secretId" in found:
            # Taken by its own name, or by the whole one.
            found["secretId"] = str(found["secretId"]).rpartition("/")[2]
        return found

    @property
    def _places(self) -> Values:
        return {key: each for key, each in self._settings.items() if key in {"project", "region"}}

    def _make(self, kind: Document, values: Values) -> str:
        document, host = self._document(kind, values), _host(kind)
        path = f"{kind.version}/{kind.parent.format_map(values)}"
        if kind.creates:
            kind.creates(self._api, values, document)
        else:
            query = {kind.named: kind.short.format_map(values)} if kind.named else {}
            query |= {"project": values["project"]} if kind.api == "storage.v1" else {}
            operation = self._api.call("POST", host, path, document, **query)
            if kind.drawn:
                return str(operation["name"])
            id_ = self._id(kind, values)
            try:
                self._wait(kind, operation, values)
            except Refused as error:
                raise HalfMade(id_, {**values, "id": id_}, values, f"{kind.token}: {error}") from None
        return self._id(kind, values)

    def _change(self, kind: Document, values: Values, state: Values, wanted: Values, changed: tuple[str, ...]) -> None:
        sent = tuple(name for name in changed if name not in kind.own)
        if not sent:
            return
        document, path = self._document(kind, self._placed(wanted)), self._path(kind, values)
        if kind.changes:
            kind.changes(self._api, path.removeprefix(f"{kind.version}/"), state, document, sent)
            return
        query = {"updateMask": ",".join(sent)} if kind.masked else {}
        if kind.api in {"sqladmin.v1", "compute.v1", "storage.v1"}:
            # What cannot change is not sent; a patch of these takes what it is given.
            fixed = set(kind.fixed.split())
            document = {key: each for key, each in document.items() if key not in fixed}
        self._wait(kind, self._api.call("PATCH", _host(kind), path, document, **query), values)

    def _read(self, token: str, id_: str, values: Values, wanted: Mapping[str, Any]) -> Values:
        """Return the state: what there is, in the spelling of what was wanted where that is the same. Raises Gone."""
        declared, kind = self._sdk.resource(token), KINDS.get(token)
        found: Values = {"id": id_}
        if kind is None:
            found |= Special.read(self._api, token, values)
        elif isinstance(kind, Grant):
            found |= {key: values[key] for key in kind.settable if key in values}
            policy = self._policy(kind, values)
            found |= kinds.granted(kind, policy, values) | {"etag": policy.get("etag")}
        else:
            document = self._api.call("GET", _host(kind), self._path(kind, {**values, "id": id_}))
            plain = kind.outer(dict(document))
            outputs = {name: each for name, each in declared.outputs.items() if name not in kind.own}
            schema = {**translate_extra(kind, plain)}
            found |= translate.from_google(kind.api, kind.schema, plain, outputs, kind.names) | schema
            labels = document.get("labels", {})
            found |= kind.computed(document, labels)
            found |= {"effectiveLabels": labels, "pulumiLabels": labels} if "effectiveLabels" in outputs else {}
        found |= {key: values[key] for key in (*_PLACES, *_DRAWN) if key in declared.outputs and key in values}
        settable = kinds.OWN & declared.inputs.keys()
        found |= {name: wanted[name] for name in settable if name in wanted}
        for name, value in wanted.items():
            exact = declared.inputs[name].kind.name == "map"
            if same(_plain(name, value), _plain(name, found.get(name)), exact=exact):
                found[name] = value
        return {name: value for name, value in found.items() if name == "id" or name in declared.outputs}

    def _document(self, kind: Document, values: Values) -> Values:
        sent = {name: values[name] for name in kind.settable - kind.own if name in values}
        if kind.token.endswith(":Account"):
            sent.pop("accountId", None)
        inner = kind.inner(sent)
        return translate.to_google(kind.api, kind.schema, inner, kind.names)

    def _grant(self, kind: Grant, values: Values, *, there: bool) -> None:
        method, path = kind.set
        where = path.format_map(self._numbered(path, values))
        # The engine grants several at a time, and each change is to the policy as it was read.
        with self._granting:
            policy = kinds.changed_policy(kind, self._policy(kind, values), values, there=there)
            self._api.call(method, _host(kind), where, {"policy": policy} if kind.wrapped else policy)

    def _policy(self, kind: Grant, values: Values) -> Values:
        method, path = kind.get
        query = {"optionsRequestedPolicyVersion": "3"} if kind.api == "storage.v1" else {}
        query = {"options.requestedPolicyVersion": "3"} if method == "GET" and not query else query
        body = {"options": {"requestedPolicyVersion": 3}} if method == "POST" else None
        where = path.format_map(self._numbered(path, values))
        found = self._api.call(method, _host(kind), where, body, **query)
        return {key: each for key, each in found.items() if key in {"bindings", "etag", "version"}}

    def _numbered(self, path: str, values: Values) -> Values:
        if "{number}" not in path:
            return values
        found = self._api.call("GET", "cloudresourcemanager.googleapis.com", f"v3/projects/{values['project']}")
        return {**values, "number": found["name"].partition("/")[2]}

    def _wait(self, kind: Document, operation: Mapping[str, Any], values: Values) -> None:
        project = values["project"]
        match kind.operations:
            case "google":
                path = f"{kind.version}/{operation['name']}"
            case "sql":
                path = f"v1/projects/{project}/operations/{operation['name']}"
            case "compute":
                place = f"regions/{operation['region']}" if "region" in operation else "global"
                path = f"compute/v1/projects/{project}/{place}/operations/{operation['name']}"
            case _:
                return
        self._api.done(_host(kind), operation, path)

    @staticmethod
    def _path(kind: Document, values: Values) -> str:
        if kind.drawn:
            return f"{kind.version}/{values['id']}"
        return f"{kind.version}/{kind.parent.format_map(values)}/{kind.short.format_map(values)}"

    @staticmethod
    def _id(kind: Document, values: Values) -> str:
        whole = f"{kind.parent}/{kind.short}"
        return (kind.identifier or whole).format_map(values)


def translate_extra(kind: Document, document: Values) -> Values:
    """Return what `outer` moved to a name that the schema does not have."""
    moved = {"gcp:storage/bucket:Bucket": kinds._MOVED, "gcp:compute/network:Network": {"routingMode"}}
    return {name: document[name] for name in moved.get(kind.token, ()) if document.get(name) is not None}


def _host(kind: Document | Grant) -> str:
    return f"{kind.api.partition('.')[0]}.googleapis.com"


def _settable(token: str) -> frozenset[str]:
    """Return the inputs of a type that are translated. Raises Refused for a type that is not."""
    if token in Special.SETTABLE:
        return Special.SETTABLE[token]
    if token not in KINDS:
        raise Refused(
            f"{token}: the stand-in does not translate this resource type yet (tests/rig/standin/gcp/kinds.py)"
        )
    return KINDS[token].settable


def _replacing(token: str) -> frozenset[str]:
    return Special.REPLACING[token] if token in Special.REPLACING else KINDS[token].replacing


def _plain(name: str, value: Any) -> Any:
    """Return a value as it is compared: a network by its name, however it is linked, and members in no order."""
    if name in {"network", "authorizedNetwork"} and isinstance(value, str):
        return value.partition("projects/")[2] or value
    if name == "members" and is_known(value):
        return sorted(value or [])
    return value if is_known(value) else UNKNOWN


def _named(kind: Document, id_: str) -> Values:
    """Return what an id says by itself."""
    template = (kind.identifier or f"{kind.parent}/{kind.short}").split("/")
    parts = id_.split("/")
    found = {each.strip("{}"): part for each, part in zip(template, parts, strict=False) if each.startswith("{")}
    if "{accountId}" in template[-1]:
        found = {"accountId": parts[-1].partition("@")[0], "project": parts[1]}
    return found
