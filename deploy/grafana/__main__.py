"""`python -m deploy.grafana`, at the top of a checkout, writes the dashboards anew."""

from __future__ import annotations

from deploy.grafana.written import write

write()
