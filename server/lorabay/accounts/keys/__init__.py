"""Keys: what one looks like, what it stands for, how it is made and ended, and who sent one.

Knows nothing of HTTP. A request is answered from `KeySnapshot`, which follows the database.
"""
