"""What a preparation came to: as numbers, as a table, as JSON, as a page with plots.

Says how many and how long, never what a row says. Loads nothing from elsewhere.
"""
