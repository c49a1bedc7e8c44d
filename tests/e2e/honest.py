"""An honest client in a process of its own, so that nobody's work but the server's delays it.

    python -m tests.e2e.honest HOST PORT KEY MODEL

streams from one adapter, again and again. Each token is a line with the time of its arrival, on the
clock that all processes of a machine share (`time.monotonic`); anything else is a line of words.
"""

from __future__ import annotations

import http.client
import json
import sys
import time

BODY = {
    "messages": [{"role": "user", "content": "Tell me about savings, in many words."}],
    "max_tokens": 1200,
    "ignore_eos": True,
    "stream": True,
}


def main(host: str, port: str, key: str, model: str) -> None:
    """Stream until killed."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    body = json.dumps(BODY | {"model": model})
    while True:
        connection = http.client.HTTPConnection(host, int(port), timeout=120)
        connection.request("POST", "/v1/chat/completions", body, headers)
        response = connection.getresponse()
        if response.status != 200:
            say(f"status {response.status}: {response.read(300)!r}")
            time.sleep(0.2)
            continue

        while line := response.readline():
            if line.startswith(b'data: {"error"'):
                say(f"failed: {line[:300]!r}")
            elif line.startswith(b"data: {"):
                say(f"{time.monotonic():.6f}")
        connection.close()


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
