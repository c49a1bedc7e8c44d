"""The guide for tenants works: its blocks are typed into a shell beside a server with accounts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT
from tests.docs.typed import WITH_ACCOUNTS, blocks_of
from tests.e2e.server import PATIENCE_S, Server

ADDRESS = "http://127.0.0.1:8000"
MARK = "@@ next block @@"
KNOWN = """
until curl -sf {url}/v1/models -H "Authorization: Bearer $ACME" > /dev/null; do sleep 0.1; done
"""
"""A server that runs already takes a key up within a second."""

ENDED = """
while curl -sf {url}/v1/models -H "Authorization: Bearer $ACME" > /dev/null; do sleep 0.1; done
ask tech-support
"""


def test_a_company_with_two_departments_and_a_customer(
    server: Server, accounts: Path, tmp_path: Path
) -> None:
    """The customer is answered by its adapter, sees no other, and is nobody once its key has been
    revoked.
    """
    (tmp_path / "adapters").symlink_to(ROOT / "adapters")
    plain = {name: text for name, text in os.environ.items() if not name.startswith("LORABAY_")}
    environment = plain | {
        "LORABAY_DATABASE": f"sqlite:///{accounts}",
        "PATH": f"{Path(sys.executable).parent}:{plain['PATH']}",
        "PYTHONPATH": str(ROOT / "server"),
    }

    create, ask, *others = (
        block.text.replace(ADDRESS, server.url) for block in blocks_of(WITH_ACCOUNTS)
    )
    steps = (create + KNOWN.format(url=server.url), ask, *others, ENDED.format(url=server.url))
    typed = subprocess.run(
        ["/bin/bash", "-eu", "-o", "pipefail", "-c", f"\necho '{MARK}'\n".join(steps)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert typed.returncode == 0, typed.stderr

    made, asked, ended, *_, refused = typed.stdout.split(f"{MARK}\n")
    assert made.count("lb_") == 2
    assert "warning: no adapter in adapters is meant by 'shop-*'" in typed.stderr

    assert '"finish_reason"' in asked
    assert '"id":"tech-support"' in asked
    assert '"id":"finance"' not in asked
    assert "The model `finance` does not exist." in asked

    assert "tech-support" in ended
    assert "revoked" in ended
    assert "The API key was revoked at" in refused
    assert ",acme,1," in (tmp_path / "november.csv").read_text()
