"""What goes on now and went on in the last hour, kept in memory, for people who watch.

Knows nothing of the page that shows it, and nothing of Prometheus' pages.
"""
