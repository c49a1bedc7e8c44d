"""The wait until a server answers, and the list of models that it serves.

Asks over HTTP like any client: the model list, a completion of one token, whether all is loaded.
Every wait is bounded; a child that dies ends it at once.
"""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx

from lorabay.bench.settings import BASE
from lorabay.bench.transcript import error_message
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.bench.load_generator import Target
    from lorabay.bench.processes import ServerProcess

T = TypeVar("T")
POLL_S = 0.1
NOT_YET = 503


@dataclass(frozen=True, slots=True)
class Listing:
    """The ids that a server lists: its base and its adapters. These are sorted, so that the lists
    of two servers can be compared.
    """

    base: str
    adapters: tuple[str, ...]

    @classmethod
    def of(cls, page: Any, url: str) -> Self:
        """Return what a parsed model list says; raises SetupError if it is none."""
        try:
            cards = page["data"]
            bases = [card["id"] for card in cards if not card.get("parent")]
        except (AttributeError, KeyError, TypeError) as error:
            raise SetupError(f"{url}/v1/models is not an OpenAI model list") from error

        if not bases:
            raise SetupError(f"{url}/v1/models lists no base")
        adapters = sorted(card["id"] for card in cards if card.get("parent"))
        return cls(bases[0], tuple(adapters))

    def resolve(self, models: tuple[str, ...]) -> tuple[str, ...]:
        """Return the ids of the asked models; raises SetupError for one that is not served.

        None asked means all. The name `base` means the base, whatever its id is here.
        """
        known = (self.base, *self.adapters)
        if not models:
            return known

        names = {BASE: self.base}
        ids = tuple(names.get(model, model) for model in models)
        unknown = sorted(set(ids) - set(known))
        if unknown:
            raise SetupError(
                f"the server does not serve {', '.join(unknown)}; it serves {', '.join(known)}"
            )
        return ids


def list_models(target: Target, timeout_s: float) -> Listing:
    """Return the models of a running server; raises SetupError if it does not answer."""
    listing = _list_models(target, timeout_s)
    if listing is None:
        raise SetupError(
            f"no server answers at {target.url}/v1/models; start one, or leave out --url"
        )
    return listing


def read_metrics(target: Target, timeout_s: float) -> str:
    """Return a running server's `/metrics` page; raises SetupError if it does not answer."""
    response = _call(target, "GET", "/metrics", timeout_s)
    if response is None:
        raise SetupError(f"no server answers at {target.url}/metrics")
    return response.text


def wait_first_answer(server: ServerProcess, target: Target, timeout_s: float) -> None:
    """Wait for the first completion of the base.

    Raises SetupError if the server dies, refuses the request or takes longer than `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    listing = _poll(server, lambda left: _list_models(target, left), deadline)
    body = {"model": listing.base, "prompt": "Hello", "max_tokens": 1}
    _poll(server, lambda left: _call(target, "POST", "/v1/completions", left, body), deadline)


def wait_loaded(server: ServerProcess, target: Target, timeout_s: float) -> Listing:
    """Wait until the server has loaded all that it serves, and return the list.

    A server without `/ready`, such as vLLM's own, loads before it answers.
    """
    deadline = time.monotonic() + timeout_s
    _poll(server, lambda left: _call(target, "GET", "/ready", left, fine=(200, 404)), deadline)
    return _poll(server, lambda left: _list_models(target, left), deadline)


def wait_metrics(server: ServerProcess, target: Target, timeout_s: float) -> str:
    """Wait for our server's first `/metrics` page, which it shows before its engine is up."""
    deadline = time.monotonic() + timeout_s
    return _poll(server, lambda left: _call(target, "GET", "/metrics", left), deadline).text


def _poll(server: ServerProcess, ask: Callable[[float], T | None], deadline: float) -> T:
    """Ask until the answer is not None; `ask` takes the seconds that are left."""
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            break

        server.check_alive()
        answer = ask(left)
        if answer is not None:
            return answer
        time.sleep(POLL_S)

    raise SetupError(f"{server.name} did not answer in time; the end of its log:\n{server.tail()}")


def _list_models(target: Target, timeout_s: float) -> Listing | None:
    response = _call(target, "GET", "/v1/models", timeout_s)
    if response is None:
        return None

    try:
        page = response.json()
    except ValueError:
        page = None
    return Listing.of(page, target.url)


def _call(
    target: Target,
    method: str,
    path: str,
    timeout_s: float,
    body: object = None,
    fine: tuple[int, ...] = (200,),
) -> httpx.Response | None:
    """Return the response, or None while there is no server or it is not ready yet."""
    try:
        response = httpx.request(
            method,
            target.url + path,
            json=body,
            headers=target.headers,
            timeout=timeout_s,
            trust_env=False,
            verify=_trusted(),
        )
    except httpx.TransportError:
        return None

    if response.status_code == NOT_YET:
        return None
    if response.status_code not in fine:
        reason = _reason(response)
        raise SetupError(f"{target.url}{path} answered {response.status_code}: {reason}")
    return response


@cache
def _trusted() -> ssl.SSLContext:
    """Return whom to trust, read once: that takes more time of a processor than a request."""
    return httpx.create_ssl_context(trust_env=False)


def _reason(response: httpx.Response) -> str:
    try:
        payload = response.json()
    except ValueError:
        payload = None
    return error_message(payload) if isinstance(payload, dict) else response.text[:200]
