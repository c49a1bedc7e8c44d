"""Tokens of an issuer of OpenID Connect: its keys, and who an administrator is by a token.

Knows nothing of HTTP paths or of databases.
"""
