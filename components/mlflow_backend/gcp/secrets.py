"""The values of a backend's secrets: drawn straight into Secret Manager, known to Pulumi by their versions only.

Each value is a secret of its own, because Cloud Run hands over whole ones. Whoever changes a value adds a version; the
next update gives the database's role the new password, and starts a revision that has it. New encryption keys wait in a
secret of their own until an update puts them in force.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets as random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend import new_keys
from mlflow_backend.backup.bundle import VERIFIER
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.gcp.api import REDIS, SECRETS, SQL, shared
from mlflow_backend.gcp.render.cache import ANY_ADDRESS
from mlflow_backend.gcp.render.database import ADMIN_USER
from mlflow_backend.gcp.render.secrets import (
    ADMIN_PASSWORD,
    API_KEYS,
    CACHE_AUTH,
    CACHE_CA,
    CACHE_URL,
    DATABASE_CA,
    VERIFICATION_KEY,
    WAITING_KEYS,
)
from mlflow_backend.pace import Pace
from mlflow_backend.server import SecretTemplate, keys, secret_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.gcp.api import Api

INPUTS: Final = ("project", "region", "names", "secrets", "database", "cache", "cacheUrl")
"""`names` are the values that are drawn or derived, `secrets` their resources' names, `database` and `cache` the
instances that the stack made, '' for an adopted one; `cacheUrl` is the template of the cache's URL."""
REPLACING: Final = ()
_GIVEN: Final = {"admin-user": "admin"}
# 256 bits. Hexadecimal: every service and every URL takes it as it is.
_BYTES: Final = 32
_SALT_BYTES: Final = 16
_OPERATION_S: Final = 300.0
_READERS: Final = 16


@dataclass(frozen=True, kw_only=True)
class Value:
    """A secret's newest value, and the number of its version."""

    text: str
    version: str


@dataclass(kw_only=True)
class Secrets:
    """The secrets of a project."""

    project: str
    api: Api = field(default_factory=shared)

    def read(self, name: str, version: str = "latest") -> Value | None:
        """Return a value; None for a secret, or a version of it, that is not there."""
        path = f"v1/projects/{self.project}/secrets/{name}/versions/{version}:access"
        found = self.api.get(SECRETS, path)
        if found is None:
            return None
        text = base64.b64decode(found["payload"]["data"]).decode(errors="replace")
        return Value(text=text, version=found["name"].rpartition("/")[2])

    def add(self, name: str, text: str) -> Value:
        """Give a secret another value. Raises PlatformFailed."""
        body = {"payload": {"data": base64.b64encode(text.encode()).decode()}}
        found = self.api.call("POST", SECRETS, f"v1/projects/{self.project}/secrets/{name}:addVersion", body)
        return Value(text=text, version=found["name"].rpartition("/")[2])


def reference(secrets: Secrets, name: str) -> tuple[str, str]:
    """Return the value that NAME#VERSION names, or an empty text and what is wrong."""
    secret, _, version = name.partition("#")
    found = secrets.read(secret, version)
    return ("", f"the secret {secret} has no version {version}") if found is None else (found.text, "")


def identifier(props: Mapping[str, Any]) -> str:
    """Return the resource's id."""
    return f"{props['project']}/secrets"


def ensure(props: Mapping[str, Any], *, pace: Pace | None = None) -> dict[str, Any]:
    """Draw the values that are missing, put waiting keys in force, and return the resource's outputs.

    Raises PlatformFailed for a value that no server could start with.
    """
    secrets = Secrets(project=props["project"])
    found = _stored(secrets, props)
    wanted = _whole(secrets, props, {name: value.text for name, value in found.items()})
    for name in sorted(props["names"]):
        if name not in found or found[name].text != wanted[name]:
            found[name] = secrets.add(props["secrets"][name], wanted[name])
    if ADMIN_PASSWORD in wanted:
        _set_password(secrets.api, props, wanted[ADMIN_PASSWORD], pace or Pace(poll_s=2.0))
    return _outputs(props, found)


def current(props: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the resource's outputs as the secrets are now; None if a value is not there."""
    found = _stored(Secrets(project=props["project"]), props)
    return None if set(props["names"]) - found.keys() else _outputs(props, found)


def changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether something else is asked for, or a secret is not as the last update left it."""
    if any(olds.get(key) != news.get(key) for key in INPUTS):
        return True
    found = current(news)
    if found is None or found["versions"] != olds.get("versions"):
        return True
    return _waiting(Secrets(project=news["project"]), news, found["fingerprint"]) is not None


def delete(props: Mapping[str, Any]) -> None:
    """Do nothing: a value goes with its secret, which is a resource of its own."""
    del props


def rotate(secrets: Secrets, names: Mapping[str, str]) -> None:
    """Let new encryption keys wait, unless some wait already. Raises Refused for a backend that has no keys."""
    found = {name: value.text for name in keys.NAMES if (value := secrets.read(names[name])) is not None}
    try:
        drawn = keys.rotated(found, new_keys.draw())
    except ValueError as error:
        raise Refused(
            f"The backend has no encryption keys: {error}.",
            code="gcp-keys-not-rotated",
            fix="Deploy the stack, and repeat.",
        ) from None
    waiting = {"after": _fingerprint(found), "keys": drawn}
    stored = secrets.read(names[WAITING_KEYS])
    if stored is None or json.loads(stored.text).get("after") != waiting["after"]:
        secrets.add(names[WAITING_KEYS], json.dumps(waiting))


def _stored(secrets: Secrets, props: Mapping[str, Any]) -> dict[str, Value]:
    names = sorted(props["names"])
    with ThreadPoolExecutor(max_workers=_READERS) as pool:
        found = list(pool.map(lambda name: secrets.read(props["secrets"][name]), names))
    return {name: value for name, value in zip(names, found, strict=True) if value is not None}


def _whole(secrets: Secrets, props: Mapping[str, Any], stored: Mapping[str, str]) -> dict[str, str]:
    """Return every value: drawn, given, or what the instances that Google made say of themselves."""
    whole, drawn = dict(stored), new_keys.draw()
    derived: dict[str, Callable[[], str]] = {
        DATABASE_CA: lambda: _database_ca(secrets.api, props),
        CACHE_CA: lambda: _cache_ca(secrets.api, props),
        CACHE_URL: lambda: _cache_url(secrets.api, props),
    }
    for name in props["names"]:
        if name in derived:
            whole[name] = derived[name]()
        elif name not in whole:
            whole[name] = drawn.get(name) or _GIVEN.get(name) or random.token_hex(_BYTES)
    waiting = _waiting(secrets, props, _fingerprint(stored))
    whole |= waiting or {}
    if API_KEYS in props["names"]:
        whole[API_KEYS] = _api_keys(stored.get(API_KEYS), whole[VERIFICATION_KEY])
    texts = set(props["names"]) - {DATABASE_CA, CACHE_CA, API_KEYS}
    if problems := [problem for name in sorted(texts) if (problem := secret_problem(name, whole.get(name)))]:
        raise PlatformFailed(
            f"The newest values are not taken over: {'; '.join(problems)}. What runs keeps those that it has",
            code="gcp-secret-unusable",
            fix="Add a version that can be used with `gcloud secrets versions add`",
        )
    return whole


def _waiting(secrets: Secrets, props: Mapping[str, Any], fingerprint: str) -> dict[str, str] | None:
    """Return the keys of a rotation that was made after the keys with this fingerprint; None if there is none."""
    found = secrets.read(props["secrets"][WAITING_KEYS])
    document = {} if found is None else json.loads(found.text)
    return dict(document["keys"]) if document.get("after") == fingerprint and fingerprint else None


def _fingerprint(values: Mapping[str, str]) -> str:
    """Return what tells keys in force from others; '' if there are none."""
    if not values.keys() >= set(keys.IN_FORCE):
        return ""
    return hashlib.sha256("\n".join(values[name] for name in keys.IN_FORCE).encode()).hexdigest()


def _database_ca(api: Api, props: Mapping[str, Any]) -> str:
    found = _instance(api, SQL, f"v1/projects/{props['project']}/instances/{props['database']}")
    return str(found["serverCaCert"]["cert"]).strip() + "\n"


def _cache_ca(api: Api, props: Mapping[str, Any]) -> str:
    certificates = [str(each["cert"]).strip() for each in _cache(api, props)["serverCaCerts"]]
    return "".join(f"{each}\n" for each in sorted(certificates))


def _cache_url(api: Api, props: Mapping[str, Any]) -> str:
    found = _cache(api, props)
    text = props["cacheUrl"].replace(ANY_ADDRESS, f"{found['host']}:{found['port']}")
    password = api.call("GET", REDIS, f"{_cache_path(props)}/authString")["authString"]
    return SecretTemplate(text=text, encode=True).resolve({CACHE_AUTH: password}.__getitem__)


def _cache(api: Api, props: Mapping[str, Any]) -> Mapping[str, Any]:
    return _instance(api, REDIS, _cache_path(props))


def _cache_path(props: Mapping[str, Any]) -> str:
    return f"v1/projects/{props['project']}/locations/{props['region']}/instances/{props['cache']}"


def _instance(api: Api, host: str, path: str) -> Mapping[str, Any]:
    found = api.get(host, path)
    if found is None:
        raise PlatformFailed("the instance is not there", code="gcp-instance-missing", fix="Run `make up`", part=path)
    return found


def _set_password(api: Api, props: Mapping[str, Any], password: str, pace: Pace) -> None:
    """Give the database's administrator the password, and wait until it has it. Raises PlatformFailed."""
    path = f"v1/projects/{props['project']}/instances/{props['database']}/users"
    body = {"name": ADMIN_USER, "password": password}
    operation = api.call("PUT", SQL, path, body, query={"name": ADMIN_USER})
    began = pace.clock()
    while operation.get("status") != "DONE":
        if pace.clock() - began >= _OPERATION_S:
            raise PlatformFailed("the administrator's password was not set in time", code="gcp-password-overdue")
        pace.pause(pace.poll_s)
        operation = api.call("GET", SQL, f"v1/projects/{props['project']}/operations/{operation['name']}")
    if "error" in operation:
        # Its words may repeat what was sent.
        raise PlatformFailed(
            "Cloud SQL did not set the administrator's password",
            code="gcp-password-not-set",
            fix="Look at the instance's operations, and repeat",
            part=props["database"],
        )


def _api_keys(stored: str | None, key: str) -> str:
    """Return the salted hashes of the API keys with the verification's own among them; the keys of others stay."""
    entries = json.loads(stored)["keys"] if stored else []
    own = [entry for entry in entries if entry["name"] == VERIFIER]
    if stored and any(entry["sha256"] == _hash(bytes.fromhex(entry["salt"]), key) for entry in own):
        return stored
    salt = random.token_bytes(_SALT_BYTES)
    entry = {"name": VERIFIER, "scope": "write", "salt": salt.hex(), "sha256": _hash(salt, key)}
    return json.dumps({"keys": [entry, *(each for each in entries if each["name"] != VERIFIER)]})


def _hash(salt: bytes, key: str) -> str:
    return hashlib.sha256(salt + key.encode()).hexdigest()


def _outputs(props: Mapping[str, Any], found: Mapping[str, Value]) -> dict[str, Any]:
    # Whoever adds an API key needs no deployment: the server reads that secret by itself.
    versions = {name: value.version for name, value in found.items() if name != API_KEYS}
    texts = {name: value.text for name, value in found.items()}
    return {
        **{key: props[key] for key in INPUTS},
        "versions": versions,
        "fingerprint": _fingerprint(texts),
    }
