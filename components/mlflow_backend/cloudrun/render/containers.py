"""Environment, secrets, probes and volumes of the containers of services and jobs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.gcp.render.secrets import CACHE_AUTH, CACHE_CA, CACHE_URL, DATABASE_CA, SecretVersion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlflow_backend.server import Probe, SecretTemplate

Body = dict[str, Any]

SPOOL: Final = "/var/spool/mlflow"
TEMPORARY: Final = "/tmp"  # noqa: S108 - a volume of the instance's own, not a shared folder
_CA_FILE: Final = "ca.pem"
# 'Configure container health checks' (Cloud Run): failureThreshold times periodSeconds is 240 at most for a start.
LONGEST_START_S: Final = 240


def ca_path(part: str) -> str:
    """Return where the certificates of `part` are, such as DATABASE_CA: each secret has a folder of its own."""
    return f"/etc/mlflow-backend/{part}/{_CA_FILE}"


def container(  # noqa: PLR0913 - what a container is made of, by name
    name: str,
    image: str,
    argv: Sequence[str],
    *,
    cpus: int,
    memory_mib: int,
    environment: Mapping[str, str],
    secrets: Mapping[str, SecretVersion] | None = None,
    mounts: Mapping[str, str] | None = None,
) -> Body:
    """Return a container. The image's own command is always replaced. Raises ValueError for a variable in both."""
    secrets = secrets or {}
    if twice := set(environment) & set(secrets):
        raise ValueError(f"both plain and secret in the environment of {name}: {', '.join(sorted(twice))}")
    return {
        "name": name,
        "image": image,
        "command": [argv[0]],
        "args": list(argv[1:]),
        "env": [
            *({"name": key, "value": value} for key, value in sorted(environment.items())),
            *({"name": key, "valueSource": _value(source)} for key, source in sorted(secrets.items())),
        ],
        "resources": {"limits": {"cpu": str(cpus), "memory": f"{memory_mib}Mi"}},
        "volumeMounts": [{"name": volume, "mountPath": path} for volume, path in sorted((mounts or {}).items())],
    }


def environment_secrets(
    templates: Mapping[str, SecretTemplate], secrets: Mapping[str, SecretVersion]
) -> dict[str, SecretVersion]:
    """Return the secret of each variable: Cloud Run hands over whole values, and only the cache's URL is composed."""
    found = {}
    for variable, template in templates.items():
        (reference,) = template.references()
        found[variable] = secrets[CACHE_URL if reference == CACHE_AUTH else reference]
    return found


def certificates(secrets: Mapping[str, SecretVersion]) -> tuple[list[Body], dict[str, str]]:
    """Return the volumes with certificates, and where each is mounted."""
    parts = [part for part in (CACHE_CA, DATABASE_CA) if part in secrets]
    volumes = [
        {
            "name": part,
            "secret": {"secret": secrets[part].secret, "items": [{"version": secrets[part].version, "path": _CA_FILE}]},
        }
        for part in parts
    ]
    return volumes, {part: ca_path(part).rpartition("/")[0] for part in parts}


def database_tls(secrets: Mapping[str, SecretVersion]) -> dict[str, str]:
    """Return how libpq checks the database.

    `verify-ca`, because the authority is the instance's own: whoever it signed for is the instance, and the name in
    the certificate is not the private address.
    """
    return {"PGSSLMODE": "verify-ca", "PGSSLROOTCERT": ca_path(DATABASE_CA)} if DATABASE_CA in secrets else {}


def memory_volume(name: str, mib: int) -> Body:
    """Return a volume in memory that is full at `mib`: then a write fails, and the instance is not killed."""
    return {"name": name, "emptyDir": {"medium": "MEMORY", "sizeLimit": f"{mib}Mi"}}


def http_probe(probe: Probe, *, port: int, failures: int) -> Body:
    """Return an HTTP probe. Its timeout is shorter than its period, which Cloud Run insists on."""
    return {
        "httpGet": {"path": probe.path, "port": port},
        "periodSeconds": probe.interval_s,
        "timeoutSeconds": min(probe.timeout_s, probe.interval_s - 1),
        "failureThreshold": failures,
    }


def vpc_access(*, network: str, subnet: str, tag: str) -> Body:
    """Return direct VPC egress for private addresses; what is public goes out by Google's own way."""
    return {
        "egress": "PRIVATE_RANGES_ONLY",
        "networkInterfaces": [{"network": network, "subnetwork": subnet, "tags": [tag]}],
    }


def with_versions(container: Mapping[str, Any], versions: Mapping[str, str]) -> Body:
    """Return a container whose variables have the secrets that `versions` names at these versions."""
    return {**container, "env": [_at_versions(each, versions) for each in container.get("env") or []]}


def versions_in(template: Mapping[str, Any]) -> list[SecretVersion]:
    """Return the secret of each variable and of each volume in a template."""
    variables = [each for container in template["containers"] for each in container.get("env") or []]
    found = [each["valueSource"]["secretKeyRef"] for each in variables if "valueSource" in each]
    volumes = [each["secret"] for each in template.get("volumes") or [] if "secret" in each]
    found += [{"secret": each["secret"], "version": each["items"][0]["version"]} for each in volumes]
    return [SecretVersion(secret=each["secret"], version=each["version"]) for each in found]


def secrets_of(body: Body) -> tuple[str, ...]:
    """Return the secrets that a template or a job gives its containers, each once."""
    return tuple(sorted(set(_secrets_in(body))))


def _secrets_in(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("secret"), str):
            yield value["secret"]
        for each in value.values():
            yield from _secrets_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from _secrets_in(each)


def _at_versions(variable: Body, versions: Mapping[str, str]) -> Body:
    found = (variable.get("valueSource") or {}).get("secretKeyRef")
    if found is None or found["secret"] not in versions:
        return variable
    return {**variable, "valueSource": {"secretKeyRef": {**found, "version": versions[found["secret"]]}}}


def _value(source: SecretVersion) -> Body:
    return {"secretKeyRef": {"secret": source.secret, "version": source.version}}
