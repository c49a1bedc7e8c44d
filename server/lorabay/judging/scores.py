"""One figure for each set, as a search takes it: how often people would prefer it to the others.

From 0 to 1, where 0.5 is as good as the others together. Ties are half a win for each side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.errors import SetupError
from lorabay.judging.ballots import read_ballots
from lorabay.judging.libraries import check_libraries
from lorabay.judging.reporting.strengths import preferences

if TYPE_CHECKING:
    from pathlib import Path


def scores_by_name(folder: Path, names_file: Path | None = None) -> dict[str, float]:
    """Return the score of each set in a blind set's folder, by its name.

    Raises SetupError for a folder that is not a blind set, or for one that nobody has judged.
    """
    check_libraries()
    ballots = read_ballots(folder, names_file)
    if not ballots.votes:
        raise SetupError(f"nobody has judged {folder} yet: lorabay judge serve {folder}")
    return preferences(ballots.names, ballots.votes)
