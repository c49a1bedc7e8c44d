"""What each exchange cost: journal, database, sums, prices."""
