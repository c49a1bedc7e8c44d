"""What to do with an adapter that an engine cannot serve, in words that can be typed.

Reasons end with them. Knows neither the folder nor the base: a reason is read by people who may not
see paths of the server.
"""

from __future__ import annotations

MERGE = "merge it into the base: `lorabay merge ADAPTER -o MERGED`"

CONVERT = "convert it: `lorabay convert ADAPTER -o CONVERTED`"
