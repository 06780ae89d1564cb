"""One resource type in terms of boto3 calls: said as data, and carried out here for all of them alike.

What forces a replacement is not a list: a property that no update operation takes can only be had by another
resource. Where an update operation is not declared although the API has one, the resource says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from string import Formatter, Template
from typing import TYPE_CHECKING, Any, Final

import jmespath

from tests.rig.standin.aws import shapes, tagging
from tests.rig.standin.base import Gone, HalfMade, Refused
from tests.rig.standin.equality import same

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.rig.standin.aws.account import Account
    from tests.rig.standin.sdk import Field, ResourceType

_OWN: Final = frozenset({"tags", "region", "__defaults"})


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One boto3 call.

    `takes` are the properties that it sends, space separated; `keys` its other members, in which '{name}' stands for a
    property or a part of the id; `build` makes the members of properties that no member takes as they are. `answer` is
    where in the answer the resource is, `gives` where a property is in that (JMESPath, '$name' stands for a property).
    An update that is not `whole` sends only what changed.
    """

    call: str
    takes: str = ""
    keys: Mapping[str, Any] = field(default_factory=dict)
    build: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    answer: str = "@"
    gives: Mapping[str, str] = field(default_factory=dict)
    whole: bool = True

    @property
    def properties(self) -> tuple[str, ...]:
        """The properties that it sends."""
        return tuple(self.takes.split())


@dataclass(frozen=True, kw_only=True)
class Step:
    """An update that is more than one call: `run` is given the account, the resource as it is, and what is wanted."""

    takes: str
    run: Callable[[Account, Mapping[str, Any], Mapping[str, Any]], None]
    whole: bool = True

    @property
    def properties(self) -> tuple[str, ...]:
        """The properties that it sees to."""
        return tuple(self.takes.split())


@dataclass(frozen=True, kw_only=True)
class Wait:
    """One of botocore's waiters."""

    waiter: str
    keys: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Translation:
    """How a resource of the SDK is made, seen, changed and deleted.

    `id` is a template over its properties, or 'answer:' and where in the creation's answer it is; `parts` is the
    template that such an id is read by. `names` are the members
    whose word is not the property's; `outward` turns a property into what its member takes. `kept` has no API, `unread`
    is never given back by it. `named` is drawn if it is not given. What only an update takes is sent right after the
    creation.
    """

    token: str
    service: str
    id: str
    parts: str = ""
    create: Operation
    read: Operation
    more: tuple[Operation, ...] = ()
    updates: tuple[Operation | Step, ...] = ()
    delete: Operation | None
    names: Mapping[str, str] = field(default_factory=dict)
    outward: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    computed: Mapping[str, str] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    unread: frozenset[str] = frozenset()
    unordered: frozenset[str] = frozenset()
    documents: frozenset[str] = frozenset()
    named: str = ""
    made: Wait | None = None
    changed: Wait | None = None
    ended: Wait | None = None
    after_create: Callable[[Account, Mapping[str, Any]], None] | None = None
    before_delete: Callable[[Account, Mapping[str, Any]], None] | None = None
    after_read: Callable[[Account, Mapping[str, Any], dict[str, Any]], None] | None = None
    delete_with: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None

    @property
    def settable(self) -> frozenset[str]:
        """The properties that are translated."""
        sent = {name for each in (self.create, *self.updates) for name in each.properties}
        return frozenset(sent) | _named_in(self.create.keys) | self.kept | _OWN

    @property
    def updatable(self) -> frozenset[str]:
        """The properties that an existing resource can change."""
        return frozenset(name for each in self.updates for name in each.properties) | self.kept | _OWN

    def compared(self, name: str, declared: ResourceType) -> dict[str, bool]:
        """Return how a property is compared."""
        return {
            "unordered": name in self.unordered,
            "document": name in self.documents,
            "exact": declared.inputs[name].kind.name == "map",
        }


class Worker:
    """Carries out one translation in one account."""

    def __init__(self, account: Account, translation: Translation, declared: ResourceType) -> None:
        """Take where, how and what."""
        self._account, self._how, self._declared = account, translation, declared

    def create(self, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Make it. Raises HalfMade if a step after the first fails."""
        how = self._how
        request = self._request(how.create, inputs, inputs)
        if self._tagged:
            request |= tagging.at_creation(self._shape(how.create), self._token_word, self._tags(inputs))
        try:
            answer = self._account.call(how.service, how.create.call, request)
        except Gone as gone:
            # What it was to lie in is not there.
            raise Refused(f"{how.token}: {gone}") from None
        id_ = self._id(inputs, answer)
        scope = {**inputs, **self._parts(id_)}
        try:
            if how.made:
                self._wait(how.made, scope)
            if how.after_create:
                how.after_create(self._account, scope)
            # Tags first: what the account has made by itself, such as a default group, is changed by its tags.
            if self._tagged and not tagging.has_member(self._shape(how.create)):
                self._tag(scope, self._tags(inputs), {})
            for each in how.updates:
                late = [name for name in each.properties if name in inputs and name not in how.create.properties]
                if late:
                    self._change(each, {name: inputs[name] for name in each.properties if name in inputs}, scope, {})
            return id_, self.read(id_, inputs, inputs)
        except (Refused, Gone) as error:
            raise HalfMade(id_, {**inputs, "id": id_}, inputs, f"{how.token}: {error}") from None

    def read(self, id_: str, state: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Return its state: what there is, in the spelling of what was `wanted` where that is the same. Raises Gone."""
        how, scope = self._how, {**state, **self._parts(id_)}
        found: dict[str, Any] = {}
        seen: Any = {}
        for at, each in enumerate((how.read, *how.more)):
            answer = self._account.call(how.service, each.call, self._filled(each.keys, {**scope, **found}))
            item = jmespath.search(Template(each.answer).safe_substitute({**scope, **found}), answer)
            if at == 0 and item in (None, [], {}):
                raise Gone(f"{how.token}: {id_}")
            if at == 0:
                seen = item
                found |= shapes.from_answer(self._plain_outputs, item, names=how.names)
            found |= self._given(each, item or {})
        found["id"] = id_
        scope = {**scope, **found}
        found |= {name: self._filled(template, scope) for name, template in how.computed.items()}
        if "region" in self._declared.outputs:
            found["region"] = self._account.region
        if how.after_read:
            how.after_read(self._account, seen, found)
        if self._tagged:
            found |= self._read_tags({**scope, **found}, wanted)
        found |= {name: wanted[name] for name in how.kept | how.unread if name in wanted}
        for name, value in wanted.items():
            if name in self._declared.inputs and same(value, found.get(name), **how.compared(name, self._declared)):
                # What AWS adds to a record by itself stays.
                more = found.get(name) if self._declared.inputs[name].kind.name == "record" else None
                found[name] = {**more, **value} if more else value
        return found

    def update(
        self, id_: str, state: Mapping[str, Any], news: Mapping[str, Any], changed: tuple[str, ...]
    ) -> dict[str, Any]:
        """Change what changed, and return the state."""
        how, scope = self._how, {**state, **news, **self._parts(id_)}
        for each in how.updates:
            touched = [name for name in each.properties if name in changed]
            if not touched:
                continue
            unset = [name for name in touched if name not in news]
            if unset and not each.whole:
                raise Refused(f"{how.token}: the stand-in cannot take back {', '.join(unset)}")
            sent = each.properties if each.whole else touched
            self._change(each, {name: news[name] for name in sent if name in news}, scope, state)
        if self._tagged and "tags" in changed:
            self._tag(scope, self._tags(news), state.get("tagsAll", {}))
        if how.changed:
            self._wait(how.changed, scope)
        return self.read(id_, state, news)

    def delete(self, id_: str, state: Mapping[str, Any]) -> None:
        """Delete it. Raises Gone if there is nothing."""
        how, scope = self._how, {**state, **self._parts(id_)}
        if how.before_delete:
            how.before_delete(self._account, scope)
        if how.delete is None:
            return
        request = self._filled(how.delete.keys, scope) | (how.delete_with(scope) if how.delete_with else {})
        self._account.call(how.service, how.delete.call, request)
        if how.ended:
            self._wait(how.ended, scope)

    @property
    def _plain_outputs(self) -> Mapping[str, Field]:
        """The outputs that a description may hold as they are; tags are spelt otherwise everywhere."""
        return {name: each for name, each in self._declared.outputs.items() if name not in {"tags", "tagsAll"}}

    @property
    def _tagged(self) -> bool:
        return "tags" in self._declared.inputs

    @property
    def _token_word(self) -> str:
        return self._how.token.rpartition(":")[2]

    def _tags(self, inputs: Mapping[str, Any]) -> dict[str, str]:
        return {**self._account.default_tags, **inputs.get("tags", {})}

    def _tag(self, scope: Mapping[str, Any], wanted: Mapping[str, str], actual: Mapping[str, str]) -> None:
        for operation, request in tagging.changes(self._how.service, scope, wanted, actual):
            self._account.call(self._how.service, operation, request)

    def _read_tags(self, scope: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
        all_ = tagging.actual(self._account, self._how.service, scope)
        drawn = set(self._tags(wanted)) - set(wanted.get("tags", {}))
        own = {key: value for key, value in all_.items() if key not in drawn}
        return {"tagsAll": all_} | ({"tags": own} if own else {})

    def _shape(self, operation: Operation) -> Any:
        client = self._account.client(self._how.service)
        return client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation.call]).input_shape

    def _change(
        self,
        update: Operation | Step,
        properties: Mapping[str, Any],
        scope: Mapping[str, Any],
        state: Mapping[str, Any],
    ) -> None:
        if isinstance(update, Step):
            update.run(self._account, {**scope, **state, "id": scope["id"]}, properties)
        else:
            self._account.call(self._how.service, update.call, self._request(update, properties, scope))

    def _request(self, operation: Operation, properties: Mapping[str, Any], scope: Mapping[str, Any]) -> dict[str, Any]:
        if operation.build:
            return _merged(self._filled(operation.keys, scope), operation.build({**self._place, **properties}))
        outward = self._how.outward
        sent = {
            name: outward[name](properties[name]) if name in outward else properties[name]
            for name in operation.properties
            if name in properties
        }
        made = shapes.to_request(self._shape(operation), sent, names=self._how.names) if sent else {}
        return _merged(self._filled(operation.keys, scope), made)

    def _given(self, operation: Operation, item: Any) -> dict[str, Any]:
        found = {}
        for name, where in operation.gives.items():
            value = jmespath.search(where, item)
            if value is not None:
                found[name] = shapes.to_kind(self._declared.outputs[name].kind, value, names=self._how.names, path=name)
            else:
                found[name] = None
        return found

    def _id(self, inputs: Mapping[str, Any], answer: Any) -> str:
        if self._how.id.startswith("answer:"):
            return str(jmespath.search(self._how.id.removeprefix("answer:"), answer))
        return self._how.id.format_map(_Scope({**self._place, **inputs}))

    def _parts(self, id_: str) -> dict[str, Any]:
        """Return what an id says by itself, which is all that an import has."""
        template = self._how.parts or self._how.id
        if template.startswith("answer:"):
            return {"id": id_}
        parts = list(Formatter().parse(template))
        found, rest = {"id": id_}, id_
        for at, (_, name, _, _) in enumerate(parts):
            following = parts[at + 1][0] if at + 1 < len(parts) else ""
            value, _, rest = rest.partition(following) if following else (rest, "", "")
            found[str(name)] = value
        return found

    @property
    def _place(self) -> dict[str, Any]:
        return {
            "region": self._account.region,
            "account": self._account.number,
            "partition": self._account.partition,
        }

    def _filled(self, template: Any, scope: Mapping[str, Any]) -> Any:
        if isinstance(template, dict):
            return {key: self._filled(value, scope) for key, value in template.items()}
        if isinstance(template, list):
            return [self._filled(value, scope) for value in template]
        if not isinstance(template, str) or "{" not in template:
            return template
        values = _Scope({**self._place, **scope})
        parts = list(Formatter().parse(template))
        if len(parts) == 1 and not parts[0][0]:
            return values[str(parts[0][1])]
        return template.format_map(values)

    def _wait(self, wait: Wait, scope: Mapping[str, Any]) -> None:
        self._account.wait(self._how.service, wait.waiter, self._filled(wait.keys, scope))


class _Scope(dict[str, Any]):
    """What templates are filled from; a name that is not there is a fault of the translation, named."""

    def __missing__(self, key: str) -> Any:
        raise Refused(f"the stand-in has no {key} here")


def _named_in(template: Any) -> frozenset[str]:
    """Return the names that a template is filled with."""
    if isinstance(template, dict):
        return frozenset[str]().union(*(_named_in(value) for value in template.values()))
    if isinstance(template, list):
        return frozenset[str]().union(*(_named_in(value) for value in template))
    return frozenset(str(name) for _, name, _, _ in Formatter().parse(str(template)) if name)


def _merged(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            base[key] = _merged(dict(base[key]), value)
        else:
            base[key] = value
    return base
