"""Programs that use a server through other people's packages, one package each.

    python tests/e2e/clients/NAME.py URL KEY MODEL

Each asks for a chat, a stream, a tool call and a structured answer, as its package's documentation
says, and prints what it got as one JSON object. They run in an environment of their own
(requirements/clients.txt).
"""
