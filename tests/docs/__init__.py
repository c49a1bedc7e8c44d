"""The README as data: what it holds, and what of it comes from the program."""
