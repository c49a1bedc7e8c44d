"""Make the raw transcripts of all domains."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.data.transcripts.cases import DOMAINS
from tests.data.transcripts.exports import entries, write_exports


def main() -> None:
    """Write a folder and a key for each domain, and print how many conversations there are."""
    parser = argparse.ArgumentParser(description="Make raw transcripts of three domains.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=1000, help="different ones of each domain")
    parser.add_argument("--seed", type=int, default=17)
    wanted = parser.parse_args()

    for domain in DOMAINS:
        key = write_exports(wanted.folder / domain, entries(domain, wanted.count, wanted.seed))
        lines = "".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in key)
        (wanted.folder / f"{domain}.key.jsonl").write_text(lines, encoding="utf-8")
        sys.stdout.write(f"{wanted.folder / domain}: {len(key)} conversations\n")


if __name__ == "__main__":
    main()
