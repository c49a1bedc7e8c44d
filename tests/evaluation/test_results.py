"""What an evaluation came to, for programs."""

from __future__ import annotations

import json

import pytest

from tests.evaluation.made import made_evaluation


def test_json_has_everything() -> None:
    """Scores with intervals, differences with tests, checks, and the answers with what failed."""
    found = json.loads(json.dumps(made_evaluation().as_dict(), allow_nan=False))
    score = found["scores"][0]
    assert (score["model"], score["data"], score["examples"]) == ("base", "shop", 20)
    assert score["loss"] == pytest.approx(3.095)
    assert score["intervals"]["loss"][0] < score["loss"] < score["intervals"]["loss"][1]
    assert score["bleu"] is None
    assert score["checks"] == {"steps": 60.0}

    assert found["comparisons"][0]["against"] == "base"
    assert found["comparisons"][0]["p"] < 0.05
    assert found["reference_checks"] == {"shop": {"steps": 95.0}}
    assert found["questions"][0]["answers"]["base"]["problems"] == {"steps": "0 numbered steps"}


def test_names_come_once() -> None:
    """In the order in which they were measured."""
    evaluation = made_evaluation()
    assert evaluation.models == ("base", "finance")
    assert evaluation.sets == ("shop", "general")
    assert evaluation.score("finance", "shop")["words"] == 40
    assert evaluation.score("finance", "shop").get("chrf") is None
