"""Connections of a cluster that Ray encrypts."""

from __future__ import annotations

from pathlib import Path

import pytest
from ray._common.tls_utils import generate_self_signed_tls_certs

from lorabay.cluster.ray_serve import encryption
from lorabay.cluster.replicas.inbox import Inbox
from lorabay.cluster.replicas.messages import Begun
from lorabay.cluster.replicas.outbox import Outboxes
from lorabay.errors import EngineUnavailable


@pytest.fixture
def encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Ray's guide says to have in the environment of each host."""
    certificate, key = generate_self_signed_tls_certs()
    (tmp_path / "cert.pem").write_text(certificate)
    (tmp_path / "key.pem").write_text(key)
    monkeypatch.setenv("RAY_USE_TLS", "1")
    monkeypatch.setenv("RAY_TLS_SERVER_CERT", str(tmp_path / "cert.pem"))
    monkeypatch.setenv("RAY_TLS_SERVER_KEY", str(tmp_path / "key.pem"))
    monkeypatch.setenv("RAY_TLS_CA_CERT", str(tmp_path / "cert.pem"))


async def test_messages_arrive_encrypted(encrypted: None) -> None:
    """And a replica of another cluster, which encrypts nothing, is not heard."""
    inbox = Inbox(encryption=encryption.listening())
    await inbox.open("127.0.0.1")
    outboxes = Outboxes(encryption=encryption.connecting())
    with inbox.mailbox() as mailbox:
        outbox = await outboxes.to(mailbox.reply_to.front)
        with outbox.answering(mailbox.reply_to) as send:
            send(Begun())
        assert [message async for batch in mailbox for message in batch] == [Begun()]
    await outboxes.close()
    await inbox.close()


async def test_a_front_that_is_not_encrypted_is_not_answered(encrypted: None) -> None:
    """What would be said in the open stays unsaid."""
    inbox = Inbox()
    await inbox.open("127.0.0.1")
    with inbox.mailbox() as mailbox:
        outboxes = Outboxes(encryption=encryption.connecting())
        with pytest.raises(EngineUnavailable):
            await outboxes.to(mailbox.reply_to.front)
    await inbox.close()


def test_without_rays_setting_nothing_is_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_USE_TLS", raising=False)
    assert encryption.listening() is None
    assert encryption.connecting() is None
