"""The certificate of the database within the cluster, and the authority that servers hold it to."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mlflow_backend.kubernetes.render.secrets import CA, CERTIFICATE, KEY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# An update renews it long before it ends: a stack may not be updated for years.
_VALID: Final = dt.timedelta(days=3650)
_RENEWED_BEFORE: Final = dt.timedelta(days=1095)
_SKEW: Final = dt.timedelta(hours=1)
_PEM: Final = serialization.Encoding.PEM


def draw(hosts: Sequence[str]) -> dict[str, str]:
    """Return a new certificate for these names, its key, and its authority, whose own key nobody keeps."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mlflow-backend database")])
    authority = (
        _builder(name, name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "database")])
    certificate = (
        _builder(own, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    plain = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        CA: authority.public_bytes(_PEM).decode(),
        CERTIFICATE: certificate.public_bytes(_PEM).decode(),
        KEY: plain.decode(),
    }


def serves(held: Mapping[str, str], hosts: Sequence[str]) -> bool:
    """Tell whether a certificate is for these names, and for long enough."""
    try:
        found = x509.load_pem_x509_certificate(held[CERTIFICATE].encode())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (KeyError, ValueError, x509.ExtensionNotFound):
        return False
    lasts = found.not_valid_after_utc - dt.datetime.now(dt.UTC) > _RENEWED_BEFORE
    return lasts and set(names.get_values_for_type(x509.DNSName)) == set(hosts)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _VALID)
    )
