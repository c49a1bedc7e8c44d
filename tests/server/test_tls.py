"""Which certificates are served, and what becomes of them when their files change."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lorabay.errors import SetupError, UsageError
from lorabay.files import followed
from lorabay.server.tls import Certificate, choose_certificate
from tests.certificates import make_certificate, put

PATIENCE_S = 60.0


def shown(context: ssl.SSLContext) -> bytes:
    """The certificate that a client of this context sees, by a handshake in memory."""
    client_context = ssl.create_default_context()
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server)
    for _ in range(10):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    certificate = client.getpeercert(binary_form=True)
    assert certificate
    return certificate


def der(file: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(file.read_text())


def test_without_files_the_server_speaks_http(tmp_path: Path) -> None:
    """TLS is what an operator asks for; a key alone is a mistake."""
    assert choose_certificate(None, None) is None
    with pytest.raises(UsageError, match="tls_key is set without tls_cert"):
        choose_certificate(None, tmp_path / "key")


def test_a_pair_is_served(tmp_path: Path) -> None:
    """In two files or in one."""
    file, key = make_certificate(tmp_path)
    certificate = choose_certificate(file, key)
    assert certificate is not None
    assert shown(certificate.context) == der(file)

    both = tmp_path / "both.pem"
    both.write_bytes(file.read_bytes() + key.read_bytes())
    assert shown(Certificate(both, None).context) == der(file)


def spoil_nothing_there(folder: Path) -> tuple[Path, Path]:
    return folder / "none.crt", folder / "none.key"


def spoil_no_key(folder: Path) -> tuple[Path, Path]:
    return make_certificate(folder)[0], folder / "none.key"


def spoil_another_key(folder: Path) -> tuple[Path, Path]:
    return make_certificate(folder)[0], make_certificate(folder, "other")[1]


def spoil_text(folder: Path) -> tuple[Path, Path]:
    _, key = make_certificate(folder)
    (folder / "text").write_text("no certificate")
    return folder / "text", key


def spoil_encrypted(folder: Path) -> tuple[Path, Path]:
    return make_certificate(folder, password=b"secret")


def spoil_folder(folder: Path) -> tuple[Path, Path]:
    return folder, folder


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (spoil_nothing_there, "No such file"),
        (spoil_no_key, "No such file"),
        (spoil_another_key, "mismatch"),
        (spoil_text, "cannot serve TLS with the certificate"),
        (spoil_encrypted, "encrypted"),
        (spoil_folder, "cannot"),
    ],
)
def test_files_that_are_no_pair_stop_the_start(
    tmp_path: Path, spoil: Callable[[Path], tuple[Path, Path]], reason: str
) -> None:
    """Wrong, missing and mismatched files are told, and nobody is asked for a password."""
    with pytest.raises(SetupError, match=reason):
        Certificate(*spoil(tmp_path))


async def test_a_new_pair_is_taken_up(tmp_path: Path) -> None:
    """As soon as it is seen; an unchanged one is left alone."""
    file, key = make_certificate(tmp_path)
    certificate = Certificate(file, key)
    with capture_logs() as logs:
        await certificate.reload()
        assert logs == []
        make_certificate(tmp_path)
        await certificate.reload()
    assert [entry["event"] for entry in logs] == ["new certificate"]
    assert shown(certificate.context) == der(file)


async def test_a_link_that_is_turned_over_counts_as_changed(tmp_path: Path) -> None:
    """Kubernetes renews a mounted secret so."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        make_certificate(tmp_path / name)
    data = tmp_path / "data"
    data.symlink_to("old")
    certificate = Certificate(data / "server.crt", data / "server.key")
    (tmp_path / "turned").symlink_to("new")
    (tmp_path / "turned").replace(data)
    await certificate.reload()
    assert shown(certificate.context) == der(tmp_path / "new" / "server.crt")


async def test_a_pair_that_is_half_written_changes_nothing(tmp_path: Path) -> None:
    """The former one is shown until both files fit; the reason is logged once."""
    file, key = make_certificate(tmp_path)
    before = der(file)
    certificate = Certificate(file, key)
    other, other_key = make_certificate(tmp_path, "other")

    with capture_logs() as logs:
        put(file, other.read_bytes())
        await certificate.reload()
        await certificate.reload()
        assert shown(certificate.context) == before
        file.unlink()
        await certificate.reload()
        assert shown(certificate.context) == before
    assert [entry["log_level"] for entry in logs] == ["warning", "warning"]

    put(file, other.read_bytes())
    put(key, other_key.read_bytes())
    await certificate.reload()
    assert shown(certificate.context) == der(other)


async def test_the_files_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that runs looks at them again and again, until it ends."""
    monkeypatch.setattr(followed, "POLL_S", 0.001)
    file, key = make_certificate(tmp_path)
    certificate = Certificate(file, key)
    following = asyncio.create_task(certificate.follow())
    make_certificate(tmp_path)
    async with asyncio.timeout(PATIENCE_S):
        while shown(certificate.context) != der(file):
            await asyncio.sleep(0)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
