"""The `lorabay` command: one module a group of commands, each a thin function that parses flags.

Does no work of its own and imports heavy modules only inside the commands that need them, so that
`lorabay --help` answers at once.
"""

from __future__ import annotations

from lorabay.cli.main import app, main, run

__all__ = ["app", "main", "run"]
