"""`python -m lorabay`."""

from __future__ import annotations

from lorabay.cli import main

if __name__ == "__main__":
    main()
