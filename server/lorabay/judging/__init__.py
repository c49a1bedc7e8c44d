"""People's judgement: blind comparisons of answers, a page that asks people, and what they said.

`making` builds a blind set, `site` shows it in a browser and keeps the votes, `reporting` counts
them. Who gave an answer is in a file of its own (`names`), which the site never reads. Knows
nothing of models: answers come from files, or from a server by its URL.
"""
