"""Files of every type as records: one reader a type, chosen by what stands in the file.

A record that cannot be read is a value with its place, and the next one is read all the same. Holds
no more than one record at a time. Does not know what the fields of a record mean.
"""
