"""What people can be known by in a text, and where it stands: one recogniser a kind, in one table.

A result has Presidio's fields, so a recogniser of Presidio can stand in the table. Texts are read
in a view of normal width that is as long as they are. Knows nothing of what becomes of a finding.
"""
