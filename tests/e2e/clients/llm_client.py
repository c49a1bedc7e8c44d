"""The `llm` package, with a model of its extra ones, as its documentation adds it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path


def main(url: str, key: str, model: str) -> None:
    """Ask for everything."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LLM_USER_PATH"] = folder
        models = [
            {
                "model_id": "mine",
                "model_name": model,
                "api_base": f"{url}/v1",
                "supports_schema": True,
                "supports_tools": True,
            }
        ]
        # JSON is YAML, too.
        Path(folder, "extra-openai-models.yaml").write_text(json.dumps(models))

        import llm

        mine = llm.get_model("mine")
        mine.key = key
        question = "How is the weather in Paris?"
        chat = mine.prompt(question, stream=False, max_tokens=40).text()
        pieces = list(mine.prompt(question, stream=True, max_tokens=40))
        schema = {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
            "required": ["city"],
        }
        structured = mine.prompt(question, stream=False, schema=schema, max_tokens=60).text()

    result = {"chat": chat, "stream": "".join(pieces), "structured": json.loads(structured)}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
