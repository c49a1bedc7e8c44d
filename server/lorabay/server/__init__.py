"""One server process: its life, the socket it listens on, and how settings become its parts.

It knows every room, and no room but the command line knows it.
"""
