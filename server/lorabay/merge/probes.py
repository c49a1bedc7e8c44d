"""The texts on which a merged model is held against its base and adapter: a shipped set, and the
user's own.
"""

from __future__ import annotations

from pathlib import Path

from lorabay.errors import SetupError

_SHIPPED = Path(__file__).with_name("probes.txt")


def probes(extra: Path | None) -> tuple[str, ...]:
    """The shipped texts and the lines of `extra`. Raises SetupError when that cannot be read or
    holds none.
    """
    shipped = _lines(_SHIPPED.read_text(encoding="utf-8"))
    if extra is None:
        return shipped
    try:
        given = _lines(extra.read_text(encoding="utf-8"))
    except OSError as error:
        raise SetupError(f"the prompts {extra} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SetupError(
            f"the prompts {extra} are not UTF-8 text; write one prompt a line"
        ) from None
    if not given:
        raise SetupError(f"the prompts {extra} are empty; write one prompt a line")
    return shipped + given


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())
