"""What a good answer of a domain has, as rules from `checks.toml` in the adapter's folder.

A rule looks at one answer and says what is wrong with it. Knows no models.
"""
