"""The search for a recipe: trials over a space, the best of them over seeds, and what they teach.

Chooses on dev, and looks at the held-out examples once, for the report. Knows nothing of servers.
"""
