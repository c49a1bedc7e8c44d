"""The libraries that a search needs and nothing else does: the extra `forge`."""

from __future__ import annotations

from importlib.util import find_spec

from lorabay.errors import SetupError

LIBRARIES = ("optuna", "matplotlib", "scipy")


def check_libraries() -> None:
    """Raise SetupError if a library is not installed; imports none of them."""
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise SetupError(
            f"a search needs {', '.join(missing)}: pip install 'lorabay[forge]', or in a clone "
            "`make setup EXTRAS=forge`"
        )
