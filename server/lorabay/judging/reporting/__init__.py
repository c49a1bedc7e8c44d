"""What the votes say: shares of wins, agreement of judges, strengths, and the report of them.

Knows ballots, and neither pages nor where answers came from.
"""
