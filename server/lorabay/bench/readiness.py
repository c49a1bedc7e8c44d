"""When a server answers, and what it serves.

Asks over HTTP like any client: the model list, a completion of one token, whether all is loaded.
Bounded in time; a child that dies meanwhile ends the wait at once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import httpx

from lorabay.bench.transcript import error_message
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.bench.load_generator import Target
    from lorabay.bench.processes import ServerProcess

T = TypeVar("T")
POLL_S = 0.1
NOT_YET = 503
BASE = "base"


@dataclass(frozen=True, slots=True)
class Listing:
    """The ids that a server lists: its base and its adapters, sorted, so that two servers' lists
    can be compared.
    """

    base: str
    adapters: tuple[str, ...]

    def resolve(self, models: tuple[str, ...]) -> tuple[str, ...]:
        """Ids for the asked models: none means all, `base` means the base, whatever its name
        here.
        """
        known = (self.base, *self.adapters)
        if not models:
            return known
        ids = tuple(self.base if model == BASE else model for model in models)
        unknown = sorted(set(ids) - set(known))
        if unknown:
            raise SetupError(
                f"the server does not serve {', '.join(unknown)}; it serves {', '.join(known)}"
            )
        return ids


def list_models(target: Target, timeout_s: float) -> Listing:
    """What a running server serves; SetupError when it does not answer."""
    listing = _list_models(target, timeout_s)
    if listing is None:
        raise SetupError(
            f"no server answers at {target.url}/v1/models; start one, or leave out --url"
        )
    return listing


def wait_first_answer(server: ServerProcess, target: Target, timeout_s: float) -> None:
    """Return after the first completion; SetupError when the server dies, refuses it or exceeds the
    bound.
    """
    deadline = time.monotonic() + timeout_s
    listing = _poll(server, lambda left: _list_models(target, left), deadline)
    body = {"model": listing.base, "prompt": "Hello", "max_tokens": 1}
    _poll(server, lambda left: _call(target, "POST", "/v1/completions", left, body), deadline)


def wait_metrics(server: ServerProcess, target: Target, timeout_s: float) -> str:
    """Our server's first `/metrics` page: it answers before its engine is up."""
    return _poll(
        server, lambda left: _call(target, "GET", "/metrics", left), time.monotonic() + timeout_s
    ).text


def read_metrics(target: Target, timeout_s: float) -> str:
    """A running server's `/metrics` page."""
    response = _call(target, "GET", "/metrics", timeout_s)
    if response is None:
        raise SetupError(f"no server answers at {target.url}/metrics")
    return response.text


def wait_loaded(server: ServerProcess, target: Target, timeout_s: float) -> Listing:
    """What the server lists once all is loaded. A server without `/ready`, as vLLM's own, loads
    before it answers.
    """
    deadline = time.monotonic() + timeout_s
    _poll(server, lambda left: _call(target, "GET", "/ready", left, fine=(200, 404)), deadline)
    return _poll(server, lambda left: _list_models(target, left), deadline)


def _poll(server: ServerProcess, ask: Callable[[float], T | None], deadline: float) -> T:
    while (left := deadline - time.monotonic()) > 0:
        server.check_alive()
        if (answer := ask(left)) is not None:
            return answer
        time.sleep(POLL_S)
    raise SetupError(f"{server.name} did not answer in time; the end of its log:\n{server.tail()}")


def _list_models(target: Target, timeout_s: float) -> Listing | None:
    response = _call(target, "GET", "/v1/models", timeout_s)
    if response is None:
        return None
    try:
        cards = response.json()["data"]
        bases = [card["id"] for card in cards if not card.get("parent")]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SetupError(f"{target.url}/v1/models is not an OpenAI model list") from error
    if not bases:
        raise SetupError(f"{target.url}/v1/models lists no base")
    return Listing(bases[0], tuple(sorted(card["id"] for card in cards if card.get("parent"))))


def _call(
    target: Target,
    method: str,
    path: str,
    timeout_s: float,
    body: object = None,
    fine: tuple[int, ...] = (200,),
) -> httpx.Response | None:
    """The response; None while there is no server or it is not ready yet."""
    try:
        response = httpx.request(
            method,
            target.url + path,
            json=body,
            headers=target.headers,
            timeout=timeout_s,
            trust_env=False,
        )
    except httpx.TransportError:
        return None
    if response.status_code == NOT_YET:
        return None
    if response.status_code not in fine:
        raise SetupError(f"{target.url}{path} answered {response.status_code}: {_reason(response)}")
    return response


def _reason(response: httpx.Response) -> str:
    try:
        payload = response.json()
    except ValueError:
        payload = None
    return error_message(payload) if isinstance(payload, dict) else response.text[:200]
