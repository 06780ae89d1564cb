"""Tokens for the API of an EKS cluster, made of AWS credentials by the SDK; as a program, a credential plugin.

A token is a URL that asks STS who its signer is, and that only this cluster may use: the cluster's authenticator calls
it (aws-iam-authenticator, 'API Authorization from Outside a Cluster'). Nothing is asked of AWS for it.
"""

from __future__ import annotations

import argparse
import base64
import datetime as dt
import json
import sys
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.connection import Connection
from mlflow_backend.contract import BackendError, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX: Final = "k8s-aws-v1."
CLUSTER_HEADER: Final = "x-k8s-aws-id"
API_VERSION: Final = "client.authentication.k8s.io/v1"
LIFETIME: Final = dt.timedelta(minutes=14)
"""The authenticator takes a token for 15 minutes from when it was signed; the last one is for clocks that differ."""
# The authenticator asks for exactly this one, and counts its 15 minutes by the signature's own date.
_URL_LIFETIME_S: Final = 60


def token(connection: Connection, cluster: str) -> str:
    """Return a new token for a cluster, by its name. Raises Refused without credentials."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as mlflow_backend.aws.clients

    # The authenticator takes STS's own names alone, and would refuse an endpoint of the deployer's own network.
    client = connection.client("sts", configured_endpoint=False)

    def name_cluster(request: Any, **_: Any) -> None:
        request.headers[CLUSTER_HEADER] = cluster

    client.meta.events.register("before-sign.sts.GetCallerIdentity", name_cluster)
    try:
        url: str = client.generate_presigned_url("get_caller_identity", ExpiresIn=_URL_LIFETIME_S, HttpMethod="GET")
    except (BotoCoreError, ClientError) as error:
        raise Refused(
            f"There is no token for the cluster {cluster}: AWS credentials are not found or not taken "
            f"({type(error).__name__}).",
            code="eks-no-credentials",
            fix="Log in to AWS, and repeat.",
        ) from None
    return PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def credential(connection: Connection, cluster: str, *, now: dt.datetime) -> dict[str, Any]:
    """Return a token as a credential plugin prints it (Kubernetes, 'client-go credential plugins')."""
    expires = (now + LIFETIME).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {"expirationTimestamp": expires, "token": token(connection, cluster)}
    return {"apiVersion": API_VERSION, "kind": "ExecCredential", "spec": {}, "status": status}


def plugin(python: str, connection: Connection, cluster: str) -> dict[str, Any]:
    """Return the entry of a kubeconfig's user that asks this module for a token, whenever the last one ends.

    `python` is an interpreter that has this package.
    """
    return {
        "apiVersion": API_VERSION,
        "command": python,
        "args": ["-m", __name__, "--cluster", cluster, *_arguments(connection.document())],
        "interactiveMode": "Never",
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a token, or on standard error why there is none."""
    parser = argparse.ArgumentParser(prog=f"python -m {__name__}", description="Print a token for an EKS cluster.")
    for name in ("--cluster", "--region"):
        parser.add_argument(name, required=True)
    for name in ("--profile", "--role"):
        parser.add_argument(name)
    found = parser.parse_args(arguments)
    connection = Connection(found.region, found.profile, found.role)
    try:
        document = credential(connection, found.cluster, now=dt.datetime.now(dt.UTC))
    except BackendError as error:
        sys.stderr.write(f"{error}\n")
        return int(error.exit_code)
    sys.stdout.write(json.dumps(document))
    return 0


def _arguments(document: Mapping[str, str]) -> list[str]:
    return [part for key, value in document.items() for part in (f"--{key}", value)]


if __name__ == "__main__":
    sys.exit(main())
