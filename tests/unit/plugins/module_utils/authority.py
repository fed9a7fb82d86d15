"""Certificate authorities and certificates for tests, made in an instant."""

from __future__ import annotations

import base64
import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.UTC)


class Authority:
    """An authority of a name, and what it signs."""

    def __init__(self, name: str, days: float = 3650) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._build(self.name, self.key.public_key(), days, authority=True).sign(
            self.key, hashes.SHA256()
        )

    @property
    def pem(self) -> str:
        """Its own certificate."""
        return _pem(self.certificate)

    def _build(
        self, subject: x509.Name, public: ec.EllipticCurvePublicKey, days: float, authority: bool = False
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - datetime.timedelta(days=400))
            .not_valid_after(NOW + datetime.timedelta(days=days, hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )

    def sign(self, subject: str, days: float = 365, server: bool = False) -> tuple[str, str]:
        """A certificate and its key, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "example"),
                x509.NameAttribute(NameOID.COMMON_NAME, subject),
            ]
        )
        usages = [ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = self._build(name, key.public_key(), days).add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if server:
            names = [
                x509.DNSName("kubernetes"),
                x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
                x509.IPAddress(ipaddress.ip_address("fd00::1")),
            ]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return _pem(builder.sign(self.key, hashes.SHA256())), _key_pem(key)

    def write(self, stem: Path) -> None:
        """Write its certificate and key as stem.crt and stem.key."""
        write_pair(stem, (_pem(self.certificate), _key_pem(self.key)))

    def kubeconfig(self, subject: str, days: float = 365) -> str:
        """A kubeconfig with a certificate in it."""
        certificate, key = self.sign(subject, days)
        authority, certificate, key = (
            base64.b64encode(text.encode()).decode() for text in (_pem(self.certificate), certificate, key)
        )
        return (
            f"clusters:\n- cluster:\n    certificate-authority-data: {authority}\n    server: https://192.0.2.1:6443\n"
            f"users:\n- user:\n    client-certificate-data: {certificate}\n    client-key-data: {key}\n"
        )


def write_pair(stem: Path, pair: tuple[str, str]) -> None:
    """Write a certificate and its key as stem.crt and stem.key."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    for suffix, text in zip(("crt", "key"), pair, strict=True):
        Path(f"{stem}.{suffix}").write_text(text, encoding="utf-8")


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
