"""What the fields of a record mean: one layout a convention, chosen by the fields that there are.

Each turns a record into an example, or says why it cannot. Knows nothing of files.
"""
