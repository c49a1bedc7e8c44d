"""Replicas on Ray Serve: how they are deployed, chosen and asked.

Only this package imports Ray, and only when a cluster is started.
"""

from __future__ import annotations

import os

# Ray reads it when it is imported. Without it, a thread of Ray that outlives the end of the cluster
# starts another one on this machine.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
