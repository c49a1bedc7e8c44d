"""The libraries that accounts need and nothing else does: the extra `accounts`."""

from __future__ import annotations

from importlib.util import find_spec

from lorabay.errors import SetupError

LIBRARIES = ("sqlalchemy", "alembic", "psycopg")


def check_libraries() -> None:
    """Raise SetupError if a library is not installed; imports none of them."""
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise SetupError(
            f"keys in a database need {', '.join(missing)}: pip install 'lorabay[accounts]'"
        )
