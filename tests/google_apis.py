"""Request bodies held to Google's own discovery documents, and to the rules of Cloud Run that these do not say.

The documents come with google-api-python-client, which calls nothing here. A body that they take may still be refused
by Google for what only its pages say; what of this is known is `service_problems`, each rule with its source.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import googleapiclient.discovery_cache

if TYPE_CHECKING:
    from collections.abc import Iterator

Document = dict[str, Any]
DOCUMENTS = Path(googleapiclient.discovery_cache.__file__).with_name("documents")
_INTEGERS = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
_FORMATS = {
    "google-duration": re.compile(r"\d+(\.\d{1,9})?s"),
    "google-datetime": re.compile(r"\d{4}-\d\d-\d\dT\S+"),
    "byte": re.compile(r"[A-Za-z0-9+/=_-]*"),
}
# 'Labels overview' (Resource Manager).
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
_MIB = {"Mi": 1, "Gi": 1024}
_LONGEST_START_S = 240
# CPUs -> least and most GiB ('Configure CPU limits', Cloud Run).
_PAIRS = {1: (0.5, 4), 2: (0.5, 8), 4: (2, 16), 6: (4, 24), 8: (4, 32)}


@functools.cache
def document(api: str) -> Document:
    """Return a discovery document, such as `run.v2`."""
    found: Document = json.loads((DOCUMENTS / f"{api}.json").read_text(encoding="utf-8"))
    return found


def method(api: str, dotted: str) -> Document:
    """Return the method of an API, such as projects.locations.services.patch. Raises KeyError for one that it lacks."""
    *folders, name = dotted.split(".")
    found = document(api)
    for folder in folders:
        found = found["resources"][folder]
    return dict(found["methods"][name])


def problems(api: str, schema: str, body: Any) -> list[str]:
    """Return what is wrong with a request's body by its schema; fields that only answers have are wrong too."""
    return list(_checked(document(api), {"$ref": schema}, body, "$"))


def _checked(api: Document, schema: Document, value: Any, path: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = {**api["schemas"][schema["$ref"]], **{key: each for key, each in schema.items() if key != "$ref"}}
    if schema.get("readOnly"):
        yield f"{path}: is set by Google only"
    elif schema.get("type") == "object" or "properties" in schema:
        yield from _object(api, schema, value, path)
    elif schema.get("type") == "array":
        if not isinstance(value, list):
            yield f"{path}: is no array"
            return
        for place, each in enumerate(value):
            yield from _checked(api, schema["items"], each, f"{path}[{place}]")
    elif problem := _scalar(schema, value):
        yield f"{path}: {problem}"


def _object(api: Document, schema: Document, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: is no object"
        return
    known, more = schema.get("properties", {}), schema.get("additionalProperties")
    for key, each in value.items():
        if key in known:
            yield from _checked(api, known[key], each, f"{path}.{key}")
        elif more:
            yield from _checked(api, more, each, f"{path}[{key!r}]")
        else:
            near = difflib.get_close_matches(key, known, 1)
            yield f"{path}.{key}: unknown field" + (f", near {near[0]}" if near else "")


def _scalar(schema: Document, value: Any) -> str | None:
    kind, form = schema.get("type"), schema.get("format", "")
    if kind == "integer" or form in _INTEGERS:
        return _integer(kind, form, value)
    python: Any = {"boolean": bool, "number": (int, float), "string": str}.get(kind or "", object)
    if not isinstance(value, python) or (isinstance(value, bool) and kind != "boolean"):
        return f"is no {kind}"
    if "enum" in schema and value not in schema["enum"]:
        return f"is none of {', '.join(schema['enum'])}"
    return None if form not in _FORMATS or _FORMATS[form].fullmatch(value) else f"is no {form}"


def _integer(kind: str | None, form: str, value: Any) -> str | None:
    # 64 bits travel as text.
    right = isinstance(value, str if kind == "string" else int) and not isinstance(value, bool)
    if not right or not re.fullmatch(r"-?\d+", str(value)):
        return f"is no {form or 'integer'}"
    least, most = _INTEGERS.get(form, (-(2**63), 2**63 - 1))
    return None if least <= int(value) <= most else f"is out of the range of {form}"


def service_problems(service: Document) -> list[str]:
    """Return what is wrong with the body of a Cloud Run service, by its discovery document and the rules below."""
    found = problems("run.v2", "GoogleCloudRunV2Service", service)
    return found or [problem for rule in _RULES for problem in rule(service)]


def _traffic(service: Document) -> Iterator[str]:
    """Shares sum to 100, and no tag is on two targets ('Rollbacks, gradual rollouts, and traffic migration')."""
    targets = service.get("traffic", [])
    if targets and sum(each.get("percent", 0) for each in targets) != 100:
        yield "traffic: the shares do not sum to 100"
    tags = [each["tag"] for each in targets if "tag" in each]
    if len(set(tags)) < len(tags):
        yield "traffic: a tag is on two targets"
    for each in targets:
        named = "revision" in each
        if named != (each.get("type") == "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"):
            yield "traffic: a target names a revision exactly if its type says so"


def _instances(service: Document) -> Iterator[str]:
    """A minimum is not more than the maximum."""
    for place, scaling in (
        ("service", service.get("scaling", {})),
        ("template", service["template"].get("scaling", {})),
    ):
        if scaling.get("minInstanceCount", 0) > scaling.get("maxInstanceCount", 100):
            yield f"{place}.scaling: the minimum is more than the maximum"


def _ports(service: Document) -> Iterator[str]:
    """Exactly one container takes the requests, at one port, by a protocol that there is (run.v2, Container.ports)."""
    ports = [port for each in service["template"]["containers"] for port in each.get("ports", [])]
    if len(ports) != 1:
        yield f"containers: {len(ports)} ports take requests, and one has to"
    for port in ports:
        if port.get("name", "http1") not in {"http1", "h2c"} or not 0 < port["containerPort"] < 65536:
            yield "containers: a port is none, or of an unknown protocol"


def _sizes(service: Document) -> Iterator[str]:
    """CPU and memory go together, and an instance has 8 CPU at most ('Configure CPU limits')."""
    total = 0
    for each in service["template"]["containers"]:
        limits = each["resources"]["limits"]
        cpus, gib = int(limits["cpu"]), _mib(limits["memory"]) / 1024
        total += cpus
        least, most = _PAIRS.get(cpus, (1, 0))
        if not least <= gib <= most:
            yield f"{each['name']}: {cpus} CPU do not go with {gib} GiB"
    if total > 8:
        yield f"containers: {total} CPU, and an instance has 8 at most"
    if not 1 <= service["template"].get("maxInstanceRequestConcurrency", 80) <= 1000:
        yield "template: the concurrency is not between 1 and 1000 ('Quotas and limits')"


def _volumes(service: Document) -> Iterator[str]:
    """Each mount has its volume and each volume a mount; volumes in memory fit into the containers that mount them."""
    template = service["template"]
    volumes = {each["name"]: each for each in template.get("volumes", [])}
    mounted = {mount["name"] for each in template["containers"] for mount in each.get("volumeMounts", [])}
    if set(volumes) != mounted:
        yield f"volumes: {sorted(set(volumes) ^ mounted)} is not both there and mounted"
    for each in template["containers"]:
        sizes = [volumes.get(mount["name"], {}).get("emptyDir", {}) for mount in each.get("volumeMounts", [])]
        spooled = sum(_mib(size["sizeLimit"]) for size in sizes if "sizeLimit" in size)
        if any(size and "sizeLimit" not in size for size in sizes) or spooled >= _mib(
            each["resources"]["limits"]["memory"]
        ):
            yield f"{each['name']}: files may take all of its memory"


def _probes(service: Document) -> Iterator[str]:
    """A probe is done before the next one, and a start takes 240 seconds at most (run.v2, Probe)."""
    for each in service["template"]["containers"]:
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = each.get(kind)
            if probe is None:
                continue
            if probe.get("timeoutSeconds", 1) >= probe.get("periodSeconds", 10):
                yield f"{each['name']}.{kind}: its timeout is not shorter than its period"
            if (
                kind == "startupProbe"
                and probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3) > _LONGEST_START_S
            ):
                yield f"{each['name']}.{kind}: gives more than {_LONGEST_START_S} seconds"


def _names(service: Document) -> Iterator[str]:
    """Names and labels fit, and containers that others wait for are there."""
    template = service["template"]
    names = [each["name"] for each in template["containers"]]
    for each in template["containers"]:
        if set(each.get("dependsOn", [])) - set(names):
            yield f"{each['name']}: waits for a container that is not there"
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", each["name"]):
            yield f"{each['name']}: is no DNS label"
    revision = template.get("revision")
    if revision is not None and not re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", revision):
        yield "template.revision: is no name"
    for labels in (service.get("labels", {}), template.get("labels", {})):
        for key, value in labels.items():
            if not (_LABEL_KEY.fullmatch(key) and _LABEL_VALUE.fullmatch(value)):
                yield f"labels: {key} is none"


def _secrets(service: Document) -> Iterator[str]:
    """No instance draws another value than the one beside it: each secret is at a numbered version."""
    template = service["template"]
    values = [
        env["valueSource"]["secretKeyRef"]
        for each in template["containers"]
        for env in each.get("env", [])
        if "valueSource" in env
    ]
    values += [item for each in template.get("volumes", []) for item in each.get("secret", {}).get("items", [])]
    for each in values:
        if not each["version"].isdigit():
            yield f"secrets: version {each['version']} is no number"


_RULES = (_traffic, _instances, _ports, _sizes, _volumes, _probes, _names, _secrets)


def _mib(text: str) -> int:
    return int(text[:-2]) * _MIB[text[-2:]]
