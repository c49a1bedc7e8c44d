"""README.md and docs/ as data: the pages, their blocks, and what of them comes from the program."""
