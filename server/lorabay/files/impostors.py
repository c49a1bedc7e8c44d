"""Files that lie where another should be: a pointer, a web page, an archive, a pickle.

They are known by their first bytes. What the right file would hold is for its own reader to know.
"""

from __future__ import annotations

import re
from dataclasses import replace

from lorabay.reasons import Reason, quoted

SNIFFED_BYTES = 128
"""Bytes of the start of a file that are enough to tell."""

_KINDS: tuple[tuple[re.Pattern[bytes], Reason], ...] = (
    (
        re.compile(rb"version https://(?:git-lfs|hawser)\.github\.com/"),
        Reason(
            "lfs_pointer",
            "a Git-LFS pointer, the file itself was not fetched; run `git lfs pull` in the clone, "
            "or download it with `hf download`",
        ),
    ),
    (
        re.compile(rb"# xet version"),
        Reason(
            "lfs_pointer",
            "a pointer of git-xet, not the file itself; get it with `hf download`",
        ),
    ),
    (
        re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|\?xml|!--)", re.IGNORECASE),
        Reason(
            "web_page",
            "a web page: the download failed or needed a login; download it again",
        ),
    ),
    (
        # torch's zip, or a pickle of any protocol since 2.
        re.compile(
            rb"PK\x03\x04.{26}[^/]*/(?:data\.pkl|byteorder|\.format_version)|\x80[\x02-\x05][^\x00]",
            re.DOTALL,
        ),
        Reason(
            "pickle",
            "a pickle under this name, and can run code when it is read; call it adapter_model.bin "
            "and run `lorabay convert FOLDER -o NEW --allow-pickle`",
        ),
    ),
    (
        re.compile(
            rb"PK\x03\x04|\x1f\x8b\x08|BZh|\xfd7zXZ|7z\xbc\xaf\x27\x1c|\x28\xb5\x2f\xfd",
        ),
        Reason("archive", "an archive; unpack it"),
    ),
    (
        re.compile(rb"GGUF"),
        Reason(
            "foreign_format",
            "a GGUF file of llama.cpp; use the adapter that it was made from",
        ),
    ),
)
"""How a file of each kind begins, and what it is, with what to do; the first that fits counts."""

_TEXT = re.compile(rb"[\t\n\r\x20-\x7e]{8}")
"""Eight readable characters; as a length, they would be more than any disk holds."""


def impostor(name: str, start: bytes) -> Reason | None:
    """Return what the file `name` is instead of itself, and what to do; None if it may be itself.

    `start` are its first bytes, `SNIFFED_BYTES` of them if it has as many.
    """
    reasons = (reason for begin, reason in _KINDS if begin.match(start))
    reason = next(reasons, None)
    return None if reason is None else replace(reason, text=f"{name} is {reason.text}")


def text_instead(name: str, start: bytes) -> Reason | None:
    """Return that the binary file `name` holds text, such as a server's error; None if it does
    not.
    """
    if not _TEXT.match(start):
        return None
    text = (
        f"{name} holds text, {quoted(start[:40].decode('ascii', 'replace'))}...: often the error "
        "of a failed download; download it again"
    )
    return Reason("text_file", text)
