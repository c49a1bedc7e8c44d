"""Certificates for 127.0.0.1 and localhost, signed by themselves."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificate(
    folder: Path, name: str = "server", *, password: bytes | None = None
) -> tuple[Path, Path]:
    """Write a certificate and its key, and return their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )

    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password)
    certificate_file, key_file = folder / f"{name}.crt", folder / f"{name}.key"
    pem = serialization.Encoding.PEM
    put(certificate_file, certificate.public_bytes(pem))
    put(key_file, key.private_bytes(pem, serialization.PrivateFormat.PKCS8, encryption))
    return certificate_file, key_file


def put(file: Path, content: bytes) -> None:
    """Write a file beside its place and rename it into it, as those who renew certificates do.

    So it is another file, also where the clock of the file system has not moved on since the last.
    """
    fresh = file.with_name(f".{file.name}")
    fresh.write_bytes(content)
    fresh.replace(file)
