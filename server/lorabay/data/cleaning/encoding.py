"""Letters that a wrong encoding has spoiled, repaired by ftfy.

Only that: full-width punctuation and curly quotes are meant, and entities belong to the markup.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def repaired(text: str) -> str:
    """Return a text as it was before it was decoded wrongly; most texts are as they are."""
    return text if text.isascii() else _fix()(text)


@cache
def _fix() -> Callable[[str], str]:
    from ftfy import TextFixerConfig, fix_text

    config: Any = TextFixerConfig(
        unescape_html=False,
        remove_terminal_escapes=False,
        fix_encoding=True,
        restore_byte_a0=True,
        replace_lossy_sequences=True,
        decode_inconsistent_utf8=True,
        fix_c1_controls=True,
        fix_latin_ligatures=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_line_breaks=False,
        fix_surrogates=True,
        remove_control_chars=False,
        normalization="NFC",
        explain=False,
    )
    return lambda text: str(fix_text(text, config))
