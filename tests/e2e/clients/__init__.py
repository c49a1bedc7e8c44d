"""Programs that use a server through other people's packages, one package each.

    PYTHON tests/e2e/clients/NAME_client.py URL KEY MODEL

PYTHON has the package: that of requirements/clients.txt, or of requirements/instructor.txt. Each
program asks as its package's documentation says, in `parts`, and tells as JSON what came of each.
The base that tests serve writes nonsense: what is asserted are types and shapes.
"""
