"""Certificates that are wrong in one way each. Run by an MLflow environment's Python, which has `cryptography`.

    python certificates.py FOLDER

writes FOLDER/ca.pem (the authority) and good, expired, wrong-name, self-signed .pem, each a certificate with its key.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)
HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
ELSEWHERE = x509.DNSName("elsewhere.example.com")
PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Signer:
    """Who signs: a name and a key."""

    name: str
    key: Any


def certificate(subject: Signer, issuer: Signer, alternative: Any, until: dt.datetime) -> Any:
    """Sign one certificate, valid for the two days before `until`; without an alternative name, an authority's."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject.name))
        .issuer_name(_name(issuer.name))
        .public_key(subject.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - 2 * DAY)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=alternative is None, path_length=None), critical=True)
    )
    if alternative is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
    return builder.sign(issuer.key, hashes.SHA256())


def main(folder: Path) -> None:
    """Write them all."""
    authority = _signer("tests")
    (folder / "ca.pem").write_bytes(certificate(authority, authority, None, NOW + DAY).public_bytes(PEM))
    wanted = {"good": (HERE, NOW + DAY), "expired": (HERE, NOW - DAY / 24), "wrong-name": (ELSEWHERE, NOW + DAY)}
    for stem, (alternative, until) in wanted.items():
        subject = _signer(stem)
        _write(folder / f"{stem}.pem", certificate(subject, authority, alternative, until), subject)
    own = _signer("self")
    _write(folder / "self-signed.pem", certificate(own, own, HERE, NOW + DAY), own)


def _signer(name: str) -> Signer:
    return Signer(name, ec.generate_private_key(ec.SECP256R1()))


def _name(text: str) -> Any:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _write(path: Path, signed: Any, subject: Signer) -> None:
    key = subject.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(signed.public_bytes(PEM) + key)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
