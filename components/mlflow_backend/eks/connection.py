"""An EKS cluster as what a client needs: its address and authority by AWS, and a token of AWS credentials."""

from __future__ import annotations

import base64
import binascii
import json
import os
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.asking import Unanswered, asked
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.eks.tokens import plugin, token
from mlflow_backend.kubernetes.kubeconfig import ClusterGone, Login

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.aws.connection import Connection

_ABSENT: Final = "ResourceNotFoundException"
_USER: Final = "aws"


@dataclass(frozen=True, kw_only=True)
class EksConnection:
    """How a cluster of EKS is reached (kubernetes.kubeconfig.ClusterConnection). It holds no credentials.

    `context` is the cluster's ARN, by which `aws eks update-kubeconfig` names it for people's kubectl.
    """

    aws: Connection
    cluster: str
    context: str

    def log_in(self) -> Login:
        """Return what the API is called with. Raises ClusterGone if AWS has no such cluster, and PlatformFailed."""
        found = self.describe()
        if found is None:
            raise ClusterGone(
                f"the cluster {self.cluster} does not exist",
                code="eks-cluster-missing",
                fix="Run `make up`, which makes it",
                part="Amazon EKS",
            )
        authority = (found.get("certificateAuthority") or {}).get("data")
        if not found.get("endpoint") or not authority:
            raise PlatformFailed(
                f"the cluster {self.cluster} is {found.get('status', 'in no known state')} and has no address yet",
                code="eks-cluster-not-ready",
                fix="Wait until it is ACTIVE, and repeat",
                part="Amazon EKS",
            )
        return Login(
            server=str(found["endpoint"]).rstrip("/"),
            tls=_trusting(authority, self.cluster),
            headers={"Authorization": f"Bearer {token(self.aws, self.cluster)}"},
            server_name=None,
            proxy=None,
        )

    def describe(self) -> Mapping[str, Any] | None:
        """Return the cluster as AWS describes it; None if there is none. Raises PlatformFailed."""
        answer = asked(self.aws.client("eks").describe_cluster, name=self.cluster)
        if isinstance(answer, Unanswered):
            if answer.why == _ABSENT:
                return None
            raise PlatformFailed(
                f"{answer.of('Amazon EKS')} for the cluster {self.cluster}",
                code="eks-not-answered",
                fix="Log in to AWS, or give the deployer eks:DescribeCluster, and repeat",
            )
        found: Mapping[str, Any] = answer["cluster"]
        return found

    def kubeconfig(self, *, endpoint: str, authority: str) -> str:
        """Return a kubeconfig for Pulumi's provider, which takes the same text on every machine.

        `authority` is in base64, as AWS gives it. No token is in it: the provider asks `tokens` for one, again and
        again in a long update.
        """
        entry = {"cluster": self.context, "user": _USER}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": self.context, "cluster": {"server": endpoint, "certificate-authority-data": authority}}
            ],
            "users": [{"name": _USER, "user": {"exec": plugin(_interpreter(), self.aws, self.cluster)}}],
            "contexts": [{"name": self.context, "context": entry}],
            "current-context": self.context,
        }
        return json.dumps(document, sort_keys=True)


def _interpreter() -> str:
    """Return this interpreter, from the folder in which Pulumi runs program and plugins if it is below it.

    An absolute path would make every other checkout another provider.
    """
    path = Path(sys.executable)
    try:
        return os.path.join(".", path.relative_to(Path.cwd()))  # noqa: PTH118 - a path without a slash is looked up
    except ValueError:
        return str(path)


def _trusting(authority: str, cluster: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=base64.b64decode(authority).decode("ascii"))
    except (ssl.SSLError, binascii.Error, UnicodeDecodeError):
        raise PlatformFailed(
            f"the certificate of the authority of the cluster {cluster} cannot be read",
            code="eks-authority-damaged",
            part="Amazon EKS",
        ) from None
