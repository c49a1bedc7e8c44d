"""Adapters that somebody sends: received beside the adapter directory, unpacked, and put in place.

What was sent may have been made to do harm. Nothing of it is seen before it has passed, and nothing
of it stays if it does not. Knows nothing of HTTP or of what makes an adapter servable.
"""
