"""An etcd on a machine of its own, as a user would bring one: its authority, its certificates, and the program that runs."""

from __future__ import annotations

import datetime
import io
import ipaddress
import json
import subprocess
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PROGRAMS = ("etcd", "etcdctl")
# On the machine of etcd.
FOLDER = "/etc/etcd"


class Authority:
    """A certificate authority and what it has signed, as files of a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        authority = x509.BasicConstraints(ca=True, path_length=0)
        self._write("ca", self._builder(self._name, self._key).add_extension(authority, critical=True), self._key)
        (folder / "ca.key").unlink()
        self._revoked: list[x509.RevokedCertificate] = []
        self._write_revoked()

    def issue(self, name: str, *addresses: str) -> None:
        """Write name.crt and name.key, for a server at these addresses and for a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = self._builder(subject, key).add_extension(usages, critical=False)
        if addresses:
            names = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        self._write(name, builder, key)

    def revoke(self, name: str) -> None:
        """Put name.crt, as it is now, onto the list of what counts no longer."""
        certificate = x509.load_pem_x509_certificate((self.folder / f"{name}.crt").read_bytes())
        builder = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
        self._revoked.append(builder.revocation_date(datetime.datetime.now(datetime.UTC)).build())
        self._write_revoked()

    def _write_revoked(self) -> None:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        builder = builder.last_update(now).next_update(now + datetime.timedelta(days=1))
        for entry in self._revoked:
            builder = builder.add_revoked_certificate(entry)
        # etcd reads no other encoding of these lists.
        content = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        (self.folder / "revoked.crl").write_bytes(content)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    def _write(self, name: str, builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> None:
        encoding = serialization.Encoding.PEM
        certificate = builder.sign(self._key, hashes.SHA256()).public_bytes(encoding)
        (self.folder / f"{name}.crt").write_bytes(certificate)
        private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (self.folder / f"{name}.key").write_bytes(private)


@dataclass
class EtcdMachine:
    """The container that etcd runs in."""

    container: str
    address: str

    @property
    def url(self) -> str:
        """Where clients find etcd."""
        return f"https://{self.address}:2379"

    def start(self, authority: Authority, mirror: str, image: str) -> None:
        """Bring the programs, out of their image in the mirror, and the certificates; then run etcd."""
        programs = programs_of(mirror, image, authority.folder)
        authority.issue("server", self.address, "127.0.0.1")
        self.docker("exec", self.container, "mkdir", FOLDER)
        for program in programs:
            self.docker("cp", str(program), f"{self.container}:/usr/local/bin/")
        for file in ("ca.crt", "server.crt", "server.key", "revoked.crl"):
            self.docker("cp", str(authority.folder / file), f"{self.container}:{FOLDER}/")
        options = {
            "data-dir": "/var/lib/etcd",
            "listen-client-urls": "https://0.0.0.0:2379",
            "advertise-client-urls": self.url,
            "client-cert-auth": "true",
            "trusted-ca-file": f"{FOLDER}/ca.crt",
            "client-crl-file": f"{FOLDER}/revoked.crl",
            "cert-file": f"{FOLDER}/server.crt",
            "key-file": f"{FOLDER}/server.key",
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        service = ("systemd-run", "--unit=etcd", "--service-type=notify", "/usr/local/bin/etcd", *arguments)
        self.docker("exec", self.container, *service)

    def drop_connections(self, authority: Authority) -> None:
        """Learn what was revoked, and have every client connect anew."""
        self.docker("cp", str(authority.folder / "revoked.crl"), f"{self.container}:{FOLDER}/")
        self.docker("exec", self.container, "systemctl", "restart", "etcd")

    def keys(self, prefix: str) -> int:
        """How many keys there are below a prefix."""
        return len(self.etcdctl("get", "--prefix", prefix, "--keys-only").split())

    def etcdctl(self, *arguments: str) -> str:
        """What etcdctl prints."""
        files = (f"--cacert={FOLDER}/ca.crt", f"--cert={FOLDER}/server.crt", f"--key={FOLDER}/server.key")
        return self.docker("exec", self.container, "etcdctl", *files, *arguments)

    def docker(self, *arguments: str) -> str:
        """What docker prints."""
        run = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, f"docker {' '.join(arguments)} failed:\n{run.stderr or run.stdout}"
        return run.stdout


def programs_of(mirror: str, image: str, folder: Path) -> list[Path]:
    """The programs in etcd's image, fetched from a mirror as a container runtime would."""
    repository, _colon, tag = image.partition(":")
    base = f"{mirror}/v2/{repository}"
    manifest = json.loads(_fetch(f"{base}/manifests/{tag}"))
    for layer in manifest["layers"]:
        with tarfile.open(fileobj=io.BytesIO(_fetch(f"{base}/blobs/{layer['digest']}"))) as archive:
            for member in archive:
                name = Path(member.name).name
                if name in PROGRAMS and member.isfile():
                    archive.extract(member.replace(name=name), folder, filter="data")
    return [folder / name for name in PROGRAMS]


def _fetch(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"Accept": "application/vnd.oci.image.manifest.v1+json, */*"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return bytes(response.read())
