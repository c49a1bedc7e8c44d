"""What vLLM fetches for a request, through a connection that only notes what it is asked for."""

from __future__ import annotations

import asyncio
import base64
import io
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image
from vllm import envs
from vllm.exceptions import VLLMError
from vllm.multimodal.media.connector import MEDIA_CONNECTOR_REGISTRY
from vllm.multimodal.parse import MultiModalDataParser
from vllm.multimodal.processing.inputs import ProcessorInputs

from lorabay.errors import InvalidRequest
from lorabay.serving.vllm import errors as vllm_errors
from lorabay.serving.vllm.requests.media import CONNECTOR, IMAGE_PIXELS, set_media_environment


def png() -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (2, 2)).save(made, "PNG")
    return made.getvalue()


def data_url(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


class Network:
    """Gives every address the same image, or fails the same way, and notes what was asked."""

    def __init__(self, failure: Exception | None = None, content: bytes | None = None) -> None:
        self.failure = failure
        self.content = png() if content is None else content
        self.asked: list[tuple[str, bool]] = []

    def get_bytes(self, url: str, *, allow_redirects: bool, **_: object) -> bytes:
        self.asked.append((url, allow_redirects))
        if self.failure is not None:
            raise self.failure
        return self.content

    async def async_get_bytes(self, url: str, **options: Any) -> bytes:
        return self.get_bytes(url, **options)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of a server, and no others."""
    variables: dict[str, str] = {}
    set_media_environment(variables)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def load(method: str, url: str, network: Network, **options: Any) -> Any:
    """Load an image as vLLM does it for a message of a chat."""
    assert envs.VLLM_MEDIA_CONNECTOR == CONNECTOR
    connector = MEDIA_CONNECTOR_REGISTRY.load(
        envs.VLLM_MEDIA_CONNECTOR, connection=network, **options
    )
    found = getattr(connector, method)(url)
    return asyncio.run(found) if asyncio.iscoroutine(found) else found


METHODS = ("fetch_image", "fetch_image_async")


def fetch(url: str, network: Network, **options: Any) -> None:
    """Load an image, both ways."""
    for method in METHODS:
        assert load(method, url, network, **options).media.size == (2, 2)


def refusal(url: str, network: Network, **options: Any) -> InvalidRequest:
    """What a client reads of an image that is not loaded, the same whichever way."""
    errors = []
    for method in METHODS:
        with pytest.raises(VLLMError) as caught:
            load(method, url, network, **options)
        errors.append(vllm_errors.from_exception(caught.value))

    first, second = errors
    assert isinstance(first, InvalidRequest)
    assert first.message == second.message
    return first


METADATA = "http://169.254.169.254/latest/meta-data/"


@pytest.mark.parametrize("domains", [None, [], ["cdn.example.com"]])
@pytest.mark.parametrize(
    "url",
    [
        METADATA,
        "http://127.0.0.1:8000/metrics",
        "http://[::1]/x.png",
        "https://localhost/x.png",
        "HTTP://Example.com/x.png",
        "https://cdn.example.com.evil.example/x.png",
        "https://cdn.example.com@evil.example/x.png",
        "https://evil.example\\@cdn.example.com/x.png",
        "https://evil.example#@cdn.example.com/x.png",
        "https://cdn.example.com:8443/x.png",
        "https://sub.cdn.example.com/x.png",
        "http://",
        "http:///x.png",
        "//cdn.example.com/x.png",
        "cdn.example.com/x.png",
        "ftp://cdn.example.com/x.png",
        "httpx://cdn.example.com/x.png",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "/etc/passwd",
        "",
        "http://[",
        "http://cdn.example.com:port/",
    ],
)
def test_nothing_is_fetched_that_is_not_listed(url: str, domains: list[str] | None) -> None:
    """Whatever the address looks like; without a list, from nowhere. The client's mistake, in a
    sentence that names no host, path or option.
    """
    network = Network()
    error = refusal(url, network, allowed_media_domains=domains)
    assert network.asked == []
    assert error.status == 400
    assert not any(secret in error.message for secret in ("cdn.example", "/etc", "--"))


@pytest.mark.parametrize(
    ("listed", "url"),
    [
        ("cdn.example.com", "https://cdn.example.com/x.png"),
        ("cdn.example.com", "http://cdn.example.com:80/x.png"),
        ("cdn.example.com", "HTTPS://CDN.example.com/x.png"),
        ("cdn.example.com:8443", "https://cdn.example.com:8443/x.png"),
    ],
)
def test_a_listed_host_is_asked_and_not_followed_elsewhere(listed: str, url: str) -> None:
    """Redirects are off: a listed host could send the server anywhere."""
    network = Network()
    fetch(url, network, allowed_media_domains=["other.example", listed])
    assert [follows for _, follows in network.asked] == [False, False]


def test_data_needs_no_network() -> None:
    """Media that come with the request are bounded by its size."""
    network = Network()
    fetch(data_url(png()), network)
    fetch(data_url(png()).replace("data:", "DATA:"), network, allowed_media_domains=[])
    assert network.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "data:",
        "data:image/png;base64",
        "data:image/png,abc",
        "data:image/png;base64,###",
        "data:image/png;base64,aaaa",
        data_url(png()[:40]),
    ],
)
def test_data_that_are_no_image_are_the_clients_mistake(url: str) -> None:
    assert refusal(url, Network()).status == 400


def test_an_image_of_too_many_pixels_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes can hold more of them than the memory."""
    assert envs.VLLM_MAX_IMAGE_PIXELS == IMAGE_PIXELS
    monkeypatch.setenv("VLLM_MAX_IMAGE_PIXELS", "3")
    assert refusal(data_url(png()), Network()).status == 400


@pytest.mark.parametrize(
    "failure",
    [
        aiohttp.ClientError("cannot connect to 10.0.0.7"),
        TimeoutError("10.0.0.7"),
        OSError("10.0.0.7"),
        RuntimeError("10.0.0.7"),
        ValueError("10.0.0.7"),
    ],
)
def test_a_host_that_fails_is_not_an_internal_error(failure: Exception) -> None:
    """And the client learns nothing of the network behind it."""
    network = Network(failure)
    listed = ["cdn.example.com"]
    error = refusal("https://cdn.example.com/x.png", network, allowed_media_domains=listed)
    assert "10.0.0.7" not in error.message


def test_a_page_in_place_of_an_image_is_the_clients_mistake() -> None:
    network = Network(content=b"<html>moved</html>")
    listed = ["cdn.example.com"]
    assert refusal("https://cdn.example.com/x", network, allowed_media_domains=listed).status == 400


def test_files_are_read_only_where_the_operator_says(tmp_path: Path) -> None:
    """With vLLM's own option, and then not beside that folder."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open/x.png").write_bytes(png())
    (tmp_path / "secret.png").write_bytes(png())
    network = Network()
    allowed = {"allowed_local_media_path": str(tmp_path / "open")}
    fetch((tmp_path / "open/x.png").as_uri(), network, **allowed)
    outside = (tmp_path / "open").as_uri() + "/../secret.png"
    for url in (outside, (tmp_path / "secret.png").as_uri()):
        assert str(tmp_path) not in refusal(url, network, **allowed).message


def test_what_the_operator_set_stays() -> None:
    variables = {"VLLM_MEDIA_URL_ALLOW_REDIRECTS": "1"}
    set_media_environment(variables)
    assert variables["VLLM_MEDIA_URL_ALLOW_REDIRECTS"] == "1"
    assert variables["VLLM_MEDIA_CONNECTOR"] == CONNECTOR


def test_without_names_media_are_known_by_what_they_hold() -> None:
    """vLLM would take one name for one image; this is why clients may not give any."""

    def key_of(colour: str, name: str | None) -> str:
        items = MultiModalDataParser().parse_mm_data({"image": [Image.new("RGB", (2, 2), colour)]})
        inputs = ProcessorInputs([1], items, None if name is None else {"image": [name]})
        (key,) = inputs.get_mm_hashes("model", "blake3")["image"]
        return key

    assert key_of("red", None) == key_of("red", None) != key_of("blue", None)
    assert key_of("red", "mine") == key_of("blue", "mine")
