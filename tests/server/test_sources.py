"""A server whose adapters come from elsewhere: a real bucket, a fake engine."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import obstore
import pytest

from lorabay.api.auth import choose_admin_gate
from lorabay.api.keyring import Keyring
from lorabay.errors import UsageError
from lorabay.server.sources import FollowedFolder, choose_sources, directory_of
from lorabay.settings import Settings
from lorabay.sources import clouds
from lorabay.sources.mirrors import Mirrors
from tests import making
from tests.fake_engine import FakeEngine
from tests.fixtures.buckets import BUCKET, Link, S3Server
from tests.server.directories import changed
from tests.server.test_server import PATIENCE_S, Running

ADMIN_KEY = "key-of-the-admin"
ADMIN = {"authorization": f"Bearer {ADMIN_KEY}"}

pytestmark = pytest.mark.usefixtures("own_signals", "s3_environment")


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A place in the real bucket that no other test uses."""
    return str(request.node.name)


@pytest.fixture
def sourced(settings: Settings, prefix: str) -> Settings:
    """Settings of a server whose adapters come from the bucket."""
    return changed(
        settings, adapters=f"s3://{BUCKET}/{prefix}", source_poll_s=0.2, settle_s=0.1, poll_s=60
    )


def upload(server: S3Server, prefix: str, folder: Path) -> None:
    """Put an adapter's folder into the bucket."""
    store = server.store(prefix)
    for path in folder.iterdir():
        obstore.put(store, f"{folder.name}/{path.name}", path.read_bytes())


def until(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    pause, deadline = threading.Event(), time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.02)


def started(settings: Settings) -> Running:
    """A server whose admin paths take one key."""
    return Running(settings, FakeEngine(), admin_gate=choose_admin_gate(Keyring(ADMIN_KEY)))


def admins(running: Running) -> dict[str, Any]:
    """What an administrator sees."""
    seen: dict[str, Any] = running.read("/admin/adapters", ADMIN).json()
    return seen


def served(running: Running) -> set[str]:
    """The adapters that are ready."""
    return {one["name"] for one in admins(running)["adapters"] if one["state"] == "ready"}


def test_adapters_of_a_bucket_come_change_and_go(
    sourced: Settings, s3_server: S3Server, prefix: str, tmp_path: Path
) -> None:
    """What is there at the start is served by then; later changes need no call of any kind."""
    made = tmp_path / "made"
    finance = making.make_adapter(made / "finance")
    upload(s3_server, prefix, finance)
    running = started(sourced)

    def client() -> None:
        running.wait_until(200)
        assert served(running) == {"finance"}
        first = admins(running)["adapters"][0]["live"]

        upload(s3_server, prefix, making.make_adapter(made / "ads"))
        until(lambda: served(running) == {"finance", "ads"})
        shutil.rmtree(finance)
        upload(
            s3_server,
            prefix,
            making.make_adapter(made / "finance", tensors=making.lora_tensors(seed=7)),
        )
        until(lambda: admins(running)["adapters"][1]["live"] != first)
        store = s3_server.store(prefix)
        for item in obstore.list(store, prefix="ads").collect():
            obstore.delete(store, item["path"])
        until(lambda: served(running) == {"finance"})
        running.server._end()

    running.serve(client).result()


def test_a_restart_without_the_bucket_serves_everything(
    sourced: Settings, s3_server: S3Server, prefix: str, tmp_path: Path, figures: list[str]
) -> None:
    """Within two seconds of a start with it, and the reason is shown."""
    for name in ("finance", "ads"):
        upload(s3_server, prefix, making.make_adapter(tmp_path / "made" / name))

    def start_s(expected: str) -> float:
        running = started(sourced)

        def client() -> float:
            began = time.monotonic()
            running.wait_until(200)
            took_s = time.monotonic() - began
            assert served(running) == {"finance", "ads"}
            until(lambda: admins(running)["sources"][0]["state"] == expected)
            running.server._end()
            return took_s

        return float(str(running.serve(client).result()))

    start_s("ready")
    with_it = start_s("ready")
    s3_server.stop()
    try:
        without = start_s("away")
    finally:
        s3_server.start()
    figures.append(f"start with the bucket {with_it:.2f} s, without {without:.2f} s")
    assert without <= with_it + 2


def test_a_wrong_secret_is_one_reason(sourced: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server starts and serves the base; the reason stands where an operator looks."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    running = started(sourced)

    def client() -> None:
        running.wait_until(200)
        (source,) = admins(running)["sources"]
        assert source["state"] == "away"
        assert "SignatureDoesNotMatch" in source["reason"]
        assert "wrong-secret" not in running.read("/admin/adapters", ADMIN).text
        running.server._end()

    running.serve(client).result()


def test_a_folder_and_a_bucket_at_once(
    settings: Settings, s3_server: S3Server, prefix: str, tmp_path: Path
) -> None:
    """Adapters of both are served; a name of both is the first one's."""
    for name in ("finance", "ads"):
        upload(s3_server, prefix, making.make_adapter(tmp_path / "made" / name))
    adapters = f"{tmp_path / 'adapters'},s3://{BUCKET}/{prefix}"
    both = changed(settings, adapters=adapters, settle_s=0.1, source_poll_s=0.2)
    running = started(both)

    def client() -> None:
        running.wait_until(200)
        until(lambda: served(running) == {"finance", "ads"})
        folder, bucket = admins(running)["sources"]
        assert [one["name"] for one in folder["adapters"]] == ["finance"]
        assert [one["name"] for one in bucket["adapters"]] == ["ads"]
        assert bucket["refused"][0]["name"] == "finance"
        rescan = httpx.post(f"{running.url}/admin/rescan", headers=ADMIN, timeout=PATIENCE_S)
        assert len(rescan.json()["sources"]) == 2
        running.server._end()

    running.serve(client).result()


def test_one_folder_is_followed_without_a_mirror(settings: Settings) -> None:
    """As before there were sources; its own waits are kept."""
    assert isinstance(choose_sources(settings), FollowedFolder)
    directory = directory_of(settings)
    assert directory.root == Path(settings.adapters[0])
    assert directory.empty_root_s == settings.empty_root_s


def test_sources_are_mirrored_beside_the_store(sourced: Settings) -> None:
    """What is in the mirror is whole, so nothing waits once more."""
    assert isinstance(choose_sources(sourced), Mirrors)
    directory = directory_of(sourced)
    assert directory.root.is_relative_to(sourced.store)
    assert (directory.settle_s, directory.empty_root_s) == (0, 0)


def test_a_source_that_cannot_be_opened_ends_the_start(settings: Settings) -> None:
    """Before anything is served."""
    with pytest.raises(UsageError, match="no source of the kind"):
        choose_sources(changed(settings, adapters="ftp://host/x"))


def test_a_bucket_that_calls_needs_no_poll(
    sourced: Settings, s3_server: S3Server, prefix: str, tmp_path: Path
) -> None:
    """MinIO's webhook with its token: the list that it asks for is the only one for an hour."""
    upload(s3_server, prefix, making.make_adapter(tmp_path / "made" / "finance"))
    running = started(changed(sourced, source_poll_s=3600))
    event = {"EventName": "s3:ObjectCreated:Put", "Key": f"{BUCKET}/{prefix}/ads", "Records": []}

    def client() -> None:
        running.wait_until(200)
        upload(s3_server, prefix, making.make_adapter(tmp_path / "made" / "ads"))
        url = f"{running.url}/admin/rescan"
        assert httpx.post(url, headers={"authorization": "Bearer wrong"}).status_code == 401
        assert served(running) == {"finance"}

        assert httpx.post(url, headers=ADMIN, json=event).status_code == 200
        until(lambda: served(running) == {"finance", "ads"})
        running.server._end()

    running.serve(client).result()


@pytest.fixture
def linked(s3_server: S3Server, s3_link: Link, monkeypatch: pytest.MonkeyPatch) -> Link:
    """The link over which the server reaches the bucket."""
    for name, value in s3_server.environment(s3_link.port).items():
        monkeypatch.setenv(name, value)
    return s3_link


def live(running: Running, name: str) -> object:
    """The version that a name means, as an administrator sees it."""
    return next(one["live"] for one in admins(running)["adapters"] if one["name"] == name)


def test_a_slow_adapter_holds_up_no_other(
    sourced: Settings, s3_server: S3Server, linked: Link, prefix: str, tmp_path: Path
) -> None:
    """While its bytes trickle in, it is served as it was, and others come and go."""
    made = tmp_path / "made"
    upload(s3_server, prefix, making.make_adapter(made / "finance"))
    running = started(sourced)

    def client() -> None:
        running.wait_until(200)
        before = live(running, "finance")
        linked.slows, linked.bytes_s = "/finance/", 20.0
        newer = making.make_adapter(made / "new" / "finance", tensors=making.lora_tensors(seed=7))
        upload(s3_server, prefix, newer)
        until(lambda: list(sourced.store.rglob(".incoming.finance.*")))

        upload(s3_server, prefix, making.make_adapter(made / "ads"))
        until(lambda: served(running) == {"finance", "ads"})
        for item in obstore.list(s3_server.store(prefix), prefix="ads").collect():
            obstore.delete(s3_server.store(prefix), item["path"])
        until(lambda: served(running) == {"finance"})
        assert live(running, "finance") == before

        linked.bytes_s = None
        until(lambda: live(running, "finance") != before)
        running.server._end()

    running.serve(client).result()


def test_a_link_that_stands_still_is_a_reason(
    sourced: Settings,
    s3_server: S3Server,
    linked: Link,
    prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The adapter is served as it was; when bytes come again, the new version is there."""
    monkeypatch.setattr(clouds, "READ_S", 0.5)
    made = tmp_path / "made"
    upload(s3_server, prefix, making.make_adapter(made / "finance"))
    running = started(sourced)

    def client() -> None:
        running.wait_until(200)
        before = live(running, "finance")
        linked.slows, linked.bytes_s = "/finance/", 0.0
        newer = making.make_adapter(made / "new" / "finance", tensors=making.lora_tensors(seed=7))
        upload(s3_server, prefix, newer)
        until(lambda: admins(running)["sources"][0]["refused"])
        (refused,) = admins(running)["sources"][0]["refused"]
        assert refused["name"] == "finance"
        assert "does not answer" in refused["reason"]
        assert (served(running), live(running, "finance")) == ({"finance"}, before)

        linked.bytes_s = None
        until(lambda: live(running, "finance") != before)
        assert admins(running)["sources"][0]["refused"] == []
        running.server._end()

    running.serve(client).result()
