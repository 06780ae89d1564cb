"""The `aws` cloud of the stand-in: which translations there are, and what the protocol asks of them.

A type or a property that the SDK has and no translation knows is refused too, in other words than one that does not
exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.rig.standin import asked, sdk
from tests.rig.standin.aws import functions
from tests.rig.standin.aws.account import Account
from tests.rig.standin.aws.resource import Worker
from tests.rig.standin.aws.services import TRANSLATIONS
from tests.rig.standin.base import Difference, Refused
from tests.rig.standin.equality import same
from tests.rig.standin.sdk import Problem
from tests.rig.standin.values import UNKNOWN, is_known

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.standin.aws.resource import Translation
    from tests.rig.standin.base import Resource

# The bridge's own: which inputs it has drawn itself.
DEFAULTS: Final = "__defaults"
_RANDOM: Final = 7
_SETTINGS: Final = frozenset({
    "region", "allowedAccountIds", "forbiddenAccountIds", "defaultTags", "skipCredentialsValidation",
    "skipRegionValidation", "skipMetadataApiCheck", "skipRequestingAccountId",
})  # fmt: skip


class Aws:
    """The `aws` provider as one SDK declares it."""

    def __init__(self, declared: sdk.Sdk) -> None:
        """Take the SDK; the account is known once it is configured."""
        self._sdk, self.version = declared, declared.version
        self._account: Account | None = None

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
        """Bind to the account, which has to be one that is allowed. Raises Refused."""
        plain = asked.settings(settings, self._sdk.settings)
        if "region" not in plain:
            raise Refused("aws:region: the provider has no region")
        account = Account(region=plain["region"], default_tags=(plain.get("defaultTags") or {}).get("tags", {}))
        account.number = str(account.call("sts", "get_caller_identity", {})["Account"])
        allowed, forbidden = plain.get("allowedAccountIds"), plain.get("forbiddenAccountIds") or []
        if (allowed and account.number not in allowed) or account.number in forbidden:
            raise Refused(f"AWS account ID not allowed: {account.number}")
        self._account = account

    def check(self, resource: Resource, news: Mapping[str, Any], seed: bytes) -> tuple[dict[str, Any], list[Problem]]:
        """Check inputs against the SDK, and draw the name that was not given, once."""
        declared, how = self._sdk.resource(resource.token), translation(resource.token)
        inputs = {name: value for name, value in news.items() if name != DEFAULTS}
        drawn = _drawn_name(how, resource, inputs, seed)
        found = sdk.problems(declared.inputs, {**inputs, **drawn})
        found += [
            Problem(name, f"the stand-in does not translate this property of {resource.token} yet")
            for name in inputs
            if name in declared.inputs and name not in how.settable
        ]
        if self._account and inputs.get("region", self._account.region) != self._account.region:
            found.append(Problem("region", "the stand-in works in its provider's region only"))
        return {**inputs, **drawn, **({DEFAULTS: sorted(drawn)} if drawn else {})}, found

    def diff(self, resource: Resource, news: Mapping[str, Any]) -> Difference:
        """Compare the state with what is wanted; what only AWS decides is no difference."""
        declared, how, state = self._sdk.resource(resource.token), translation(resource.token), resource.state
        changed = []
        for name in sorted(set(news) | set(resource.inputs)):
            if name == DEFAULTS or name not in declared.inputs:
                continue
            if name in news:
                differs = not same(news[name], state.get(name), **how.compared(name, declared))
            else:
                # Taken out of the program: what AWS always has an own value for stays as it is.
                differs = name not in declared.computed and state.get(name) not in (None, [], {})
            if differs:
                changed.append(name)
        if "tagsAll" in declared.outputs and "tags" not in changed and self._tags_changed(state, news):
            changed.append("tags")
        replacing = tuple(name for name in changed if name not in how.updatable)
        fixed = bool(how.named) and how.named in news and how.named not in news.get(DEFAULTS, [])
        return Difference(
            changed=tuple(changed),
            replacing=replacing,
            # Two resources cannot have one given name at a time.
            delete_first=bool(replacing) and fixed and how.named not in changed,
        )

    def planned(self, resource: Resource, news: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs, what is known already, and unknowns for the rest."""
        declared = self._sdk.resource(resource.token)
        wanted = {name: value for name, value in news.items() if name != DEFAULTS}
        if resource.id:
            kept = {name: value for name, value in resource.state.items() if name not in resource.inputs}
            return {**kept, **wanted}
        return {**dict.fromkeys(declared.computed, UNKNOWN), **wanted}

    def create(self, resource: Resource, news: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Make it."""
        return self._worker(resource).create(asked.known(resource, news, leave_out=DEFAULTS))

    def read(self, resource: Resource) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Look at it. For an import, its inputs are what it has of all that is translated."""
        declared, how = self._sdk.resource(resource.token), translation(resource.token)
        wanted = {name: value for name, value in resource.inputs.items() if name != DEFAULTS}
        state = self._worker(resource).read(resource.id, resource.state, wanted)
        names = wanted or {name for name in how.settable if name in declared.inputs and name != "region"}
        inputs = {name: state[name] for name in names if name in state}
        # What AWS adds to a record by itself is in its state alone.
        inputs |= {
            name: value
            for name, value in wanted.items()
            if name in inputs and same(value, inputs[name], **how.compared(name, declared))
        }
        if DEFAULTS in resource.inputs:
            inputs[DEFAULTS] = resource.inputs[DEFAULTS]
        return resource.id, state, inputs

    def update(self, resource: Resource, news: Mapping[str, Any]) -> dict[str, Any]:
        """Change it."""
        found = self.diff(resource, news)
        return self._worker(resource).update(
            resource.id, resource.state, asked.known(resource, news, leave_out=DEFAULTS), found.changed
        )

    def delete(self, resource: Resource) -> None:
        """Delete it."""
        self._worker(resource).delete(resource.id, resource.state)

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
        """Answer a function of the SDK that the stand-in knows."""
        declared = self._sdk.function(token)
        found = sdk.problems(declared.arguments, arguments)
        if found:
            return {}, found
        return functions.answer(self._connected, declared, arguments), []

    def cancel(self) -> None:
        """Refuse every further call."""
        if self._account:
            self._account.cancelled.set()

    @property
    def _connected(self) -> Account:
        if self._account is None:
            raise Refused("the provider is not configured")
        return self._account

    def _worker(self, resource: Resource) -> Worker:
        return Worker(self._connected, translation(resource.token), self._sdk.resource(resource.token))

    def _tags_changed(self, state: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        tags = news.get("tags", {})
        if not is_known(tags):
            return True
        return bool({**self._connected.default_tags, **tags} != state.get("tagsAll", {}))


def translation(token: str) -> Translation:
    """Return how a resource type is made. Raises Refused for one that is not translated."""
    if token not in TRANSLATIONS:
        raise Refused(
            f"{token}: the stand-in does not translate this resource type yet (tests/rig/standin/aws/services)"
        )
    return TRANSLATIONS[token]


def _drawn_name(how: Translation, resource: Resource, inputs: Mapping[str, Any], seed: bytes) -> dict[str, str]:
    if not how.named or how.named in inputs:
        return {}
    if how.named in resource.inputs.get(DEFAULTS, []):
        return {how.named: resource.inputs[how.named]}
    return {how.named: f"{resource.name}-{seed.hex()[:_RANDOM]}"}
