"""Reading request bodies: what is refused, with which status, and how much of it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import given, settings, strategies as st
from starlette.requests import Request

from lorabay.api.request.body import asked_model, read_body
from lorabay.errors import InvalidRequest, RequestTooLarge
from lorabay.serving.engine import CALLS
from tests.api.conftest import LIMITS, MAX_BODY_BYTES, Api
from tests.api.connection import Connection
from tests.examples import BESIDE_FIXTURES, examples

CHAT = "/v1/chat/completions"
JSON = {"content-type": "application/json"}
MANY = LIMITS.max_json_values


def request_of(*pieces: bytes, headers: Mapping[str, str] = JSON) -> Request:
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> dict[str, object]:
        return messages.pop(0)

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw}, receive)


@given(
    st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.none() | st.booleans())),
    st.data(),
)
async def test_any_object_arrives_as_it_was_sent(
    body: dict[str, object], data: st.DataObject
) -> None:
    """A JSON object is read whole, escaped or not, however its bytes were cut on the way."""
    content = json.dumps(body, ensure_ascii=data.draw(st.booleans())).encode()
    cut = data.draw(st.integers(0, len(content)))
    assert await read_body(request_of(content[:cut], content[cut:]), len(content), MANY) == body


@given(st.binary(max_size=200))
async def test_random_bytes_are_an_object_or_a_client_error(content: bytes) -> None:
    """Any bytes are an object or raise one of the two expected errors."""
    with suppress(InvalidRequest, RequestTooLarge):
        assert isinstance(await read_body(request_of(content), 100, MANY), dict)


BAD_BODIES = {
    "empty": (b"", "not valid JSON"),
    "half": (b'{"model": "finance"', "not valid JSON"),
    "two": (b"{}{}", "not valid JSON"),
    "nan": (b'{"model": "finance", "temperature": NaN}', "NaN is not JSON"),
    "infinity": (b'{"model": "finance", "temperature": -Infinity}', "-Infinity is not JSON"),
    "long number": (b'{"seed": ' + b"9" * 5000 + b"}", "more than 4,000 digits"),
    "latin-1": ('{"model": "é"}'.encode("latin-1"), "not valid UTF-8"),
    "utf-16": ('{"model": "finance"}'.encode("utf-16"), "not valid UTF-8"),
    "raw surrogate": (b'{"model": "\xed\xa0\x80"}', "not valid UTF-8"),
    "escaped surrogate": (rb'{"model": "\ud800"}', "surrogate"),
    "surrogate as key": (rb'{"model": "finance", "\uDFFF": 1}', "surrogate"),
    "deep": (b'{"model":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "nested too deeply"),
    "list": (b"[]", "must be a JSON object, not list"),
    "string": (b'"finance"', "must be a JSON object, not str"),
    "null": (b"null", "must be a JSON object, not NoneType"),
}


@pytest.mark.parametrize("bad", BAD_BODIES)
async def test_a_bad_body_is_a_400_that_says_what_is_wrong(api: Api, bad: str) -> None:
    """Every kind of broken body is refused in the envelope, and the next request is answered."""
    content, message = BAD_BODIES[bad]
    response = await api.http.post(CHAT, content=content, headers=JSON)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_request"
    assert message in response.json()["error"]["message"]
    assert (await api.http.post(CHAT, json={"model": "finance"})).status_code == 200


@pytest.mark.parametrize(
    "content",
    [b'\'{"model": "finance"}\'', b"{model: finance}", b'{"model": finance}', b"model=finance"],
)
async def test_it_is_shown_where_a_body_is_no_json(content: bytes) -> None:
    """What a shell's quoting made of a body is seen in the answer, and never more than a little."""
    with pytest.raises(InvalidRequest, match="not valid JSON") as refused:
        await read_body(request_of(content), 100, MANY)
    assert "which is" in refused.value.message
    assert "inance" in refused.value.message

    with pytest.raises(InvalidRequest) as refused:
        await read_body(request_of(b"x" * 50_000), 100_000, MANY)
    assert len(refused.value.message) < 150


async def test_a_mark_of_windows_programs_is_passed_over() -> None:
    """A byte order mark in front of UTF-8 is no part of the JSON."""
    body = '\ufeff{"model": "é"}'.encode()
    assert await read_body(request_of(body), 100, MANY) == {"model": "é"}


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "zstd", "deflate", "gzip, identity"])
async def test_a_compressed_body_is_415(api: Api, encoding: str) -> None:
    """The answer names the encoding, where the bytes would look like broken text."""
    headers = JSON | {"content-encoding": encoding}
    response = await api.http.post(CHAT, content=b"\x1f\x8b\x08", headers=headers)
    assert response.status_code == 415
    assert encoding in response.json()["error"]["message"]
    plain = JSON | {"content-encoding": "identity"}
    response = await api.http.post(CHAT, content=b'{"model": "finance"}', headers=plain)
    assert response.status_code == 200


@pytest.mark.parametrize("charset", ["iso-8859-1", '"windows-1252"', "utf-16", "UTF-16LE"])
async def test_text_in_another_encoding_is_415_and_ascii_is_not(api: Api, charset: str) -> None:
    """It would be misread, also where its bytes happen to be UTF-8."""
    headers = {"content-type": f"application/json; charset={charset}"}
    response = await api.http.post(CHAT, content='{"model": "é"}'.encode(), headers=headers)
    assert response.status_code == 415
    assert charset.strip('"') in response.json()["error"]["message"]
    response = await api.http.post(CHAT, content=b'{"model": "finance"}', headers=headers)
    assert response.status_code == 200


async def test_pairs_of_surrogates_are_text() -> None:
    """An escaped emoji is one character."""
    assert await read_body(request_of(rb'{"model": "\ud83d\ude00"}'), 100, MANY) == {"model": "😀"}


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"],
)
async def test_json_content_types_are_accepted(api: Api, content_type: str) -> None:
    """Parameters and case of the content type do not matter."""
    response = await api.http.post(
        CHAT, content=b'{"model": "finance"}', headers={"content-type": content_type}
    )
    assert response.status_code == 200


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/x"]
)
async def test_other_content_types_are_415(api: Api, content_type: str | None) -> None:
    """A body that is not declared as JSON is not read as JSON."""
    headers = {} if content_type is None else {"content-type": content_type}
    response = await api.http.post(CHAT, content=b'{"model": "finance"}', headers=headers)
    assert response.status_code == 415
    assert "application/json" in response.json()["error"]["message"]


async def test_a_body_at_the_limit_passes_and_one_byte_more_is_413(api: Api) -> None:
    """The limit is the largest size that is accepted."""
    body = b'{"model": "finance", "prompt": "' + b"x" * MAX_BODY_BYTES
    fitting = body[: MAX_BODY_BYTES - 2] + b'"}'
    assert (await api.http.post(CHAT, content=fitting, headers=JSON)).status_code == 200
    response = await api.http.post(CHAT, content=fitting + b" ", headers=JSON)
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "request_too_large"
    assert str(MAX_BODY_BYTES) in response.json()["error"]["message"]


async def test_a_declared_length_over_the_limit_is_refused_unread(api: Api) -> None:
    """A body whose header declares too many bytes is refused before any is read."""
    connection = Connection(api.app, CHAT, JSON | {"content-length": str(20_000_000)})
    await connection.ended()
    assert connection.code == 413
    assert connection.received == 0


async def test_a_chunked_body_over_the_limit_is_cut_off(api: Api) -> None:
    """A body of unknown length is read up to the limit and no further."""
    connection = Connection(api.app, CHAT, JSON)
    for _ in range(10):
        connection.send(b"x" * (MAX_BODY_BYTES // 4), more=True)
    await connection.ended()
    assert connection.code == 413
    assert connection.received == 5


@pytest.mark.parametrize(
    "values",
    [b"1," * 40, b"{}," * 5, b"[]," * 5, b'"",' * 40, b'{"":1},' * 5, b'"\\\\",' * 40, b"[" * 6],
)
async def test_a_body_of_too_many_values_is_refused_unparsed(values: bytes) -> None:
    """Values are counted in the bytes: these are refused before it shows that they are no JSON."""
    with pytest.raises(InvalidRequest, match="max_json_values"):
        await read_body(request_of(b'{"model": [' + values), 1000, 32 + 40)


async def test_marks_inside_of_text_are_no_values() -> None:
    """A text may hold as many commas and brackets as it likes, quoted quotes among them."""
    text = ',[{"\\' * 1000
    body = {"model": "finance", "prompt": text}
    content = json.dumps(body).encode()
    assert await read_body(request_of(content), len(content), 32) == body


@pytest.mark.parametrize("length", ["²", "-1", "many", ""])
async def test_a_senseless_length_counts_as_none(length: str) -> None:
    """A declared length that is not a number is ignored; the bytes that arrive decide."""
    headers = JSON | {"content-length": length}
    assert await read_body(request_of(b"{}", headers=headers), 2, MANY) == {}
    with pytest.raises(RequestTooLarge):
        await read_body(request_of(b"{ }", headers=headers), 2, MANY)


@pytest.mark.parametrize(("length", "size"), [("0" * 5000 + "2", 2), ("0", 0), ("1" * 5000, None)])
async def test_a_length_may_have_any_number_of_digits(length: str, size: int | None) -> None:
    """Bug: Python reads no number of so many, which was a server error."""
    request = request_of(b"{}", headers=JSON | {"content-length": length})
    if size is None:
        with pytest.raises(RequestTooLarge):
            await read_body(request, 2, MANY)
    else:
        assert await read_body(request, 2, MANY) == {}


@pytest.mark.parametrize("model", [None, 7, True, ["finance"], {"finance": 1}])
async def test_model_must_be_text(api: Api, model: object) -> None:
    """A missing or ill-typed `model` is a 400 that names the field."""
    response = await api.http.post(CHAT, json={} if model is None else {"model": model})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "model"
    with pytest.raises(InvalidRequest, match="model"):
        asked_model({"model": model})


@settings(max_examples=examples(80), suppress_health_check=BESIDE_FIXTURES)
@given(
    content=st.binary(max_size=300)
    | st.text(max_size=50).map(lambda text: json.dumps({"model": text}).encode()),
    path=st.sampled_from([call.path for call in CALLS]),
)
async def test_no_body_gives_a_server_error(api: Api, content: bytes, path: str) -> None:
    """Any body posted to any call is answered with a 4xx or the engine's own answer."""
    response = await api.http.post(path, content=content, headers=JSON)
    assert response.status_code == 200 or response.json()["error"]["code"]
    assert response.status_code < 500
    assert api.at_rest()
