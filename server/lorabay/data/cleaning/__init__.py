"""Cleaning one example: steps that change its texts, then steps that judge it.

Changing is repeated until nothing changes, so that cleaning what is clean does nothing. Every step
has a name and a reason, and can be left out. No step looks at another row.
"""
