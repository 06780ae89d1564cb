"""A certificate authority of the rig's own: what it signs stands for the certificates of RDS, ElastiCache and AWS."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from typing import TYPE_CHECKING, Final

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

_DAY: Final = dt.timedelta(days=1)
_PEM: Final = serialization.Encoding.PEM
_SIGNS: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """Signs certificates for addresses and names.

    `root` is its own certificate alone; `bundle` is that and the public ones, as a container's trust store has them.
    """

    def __init__(self, folder: Path) -> None:
        """Make the authority; its files go into `folder`."""
        self._folder = folder
        folder.mkdir(parents=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("rig")
        own = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_SIGNS, critical=True)
        )
        signed = own.sign(self._key, hashes.SHA256()).public_bytes(_PEM)
        self.root, self.bundle = folder / "root.pem", folder / "bundle.pem"
        self.root.write_bytes(signed)
        with open(certifi.where(), "rb") as public:  # noqa: PTH123 - certifi gives a text
            self.bundle.write_bytes(signed + public.read())

    def certificate(self, first: str, *more: str) -> tuple[Path, Path]:
        """Return the files of a certificate for names and IP addresses, and of its key."""
        certificate, key_file = self._folder / f"{first}.pem", self._folder / f"{first}.key"
        if not certificate.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            names = x509.SubjectAlternativeName([_alternative(each) for each in (first, *more)])
            signed = (
                self._builder(_name(first), key.public_key())
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(names, critical=False)
                .sign(self._key, hashes.SHA256())
            )
            key_file.write_bytes(
                key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            )
            key_file.chmod(0o600)
            certificate.write_bytes(signed.public_bytes(_PEM))
        return certificate, key_file

    def context(self, address: str) -> ssl.SSLContext:
        """Return what a server at an address speaks TLS with."""
        certificate, key = self.certificate(address)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            # Clients that verify strictly, as Python does from 3.13 on, ask for both.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
