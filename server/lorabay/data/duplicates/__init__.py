"""Which rows say the same: signatures, bands on disk, the rows to remove, clusters of the rest.

What is found depends on the texts, never on the order of rows or files. A row takes some 300 bytes
of the disk and some 100 of memory while this runs.
"""
