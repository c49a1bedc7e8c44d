"""A helper process without vLLM: the engine option `answer` holds its answer.

Without one it dies.
"""

from __future__ import annotations

import json
import sys

if __name__ == "__main__":
    question = json.load(sys.stdin)
    sys.stdout.write(json.dumps(question["options"]["answer"]))
