"""vLLM's backends in the real helper process, over a tokenizer whose tokens are bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest
from vllm.config import ModelConfig, StructuredOutputsConfig, VllmConfig
from vllm.exceptions import VLLMValidationError

from lorabay.serving.grammar_helper import GrammarHelper
from lorabay.serving.grammar_trials import Try
from lorabay.serving.grammars import GrammarLimits, Passed, Refused, Verdict
from lorabay.serving.vllm.grammar_trial import (
    BACKENDS,
    TRIAL_ENVIRONMENT,
    Trials,
    clean,
    prepare,
    reason_of,
)

LIMITS = GrammarLimits(compile_s=3.0)
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
TAGS = {
    "structures": [{"begin": "<call>", "schema": PERSON, "end": "</call>"}],
    "triggers": ["<call>"],
}
GOOD: dict[str, dict[str, Any]] = {
    "JSON schema": {"json": PERSON},
    "JSON schema as text": {"json": json.dumps(PERSON)},
    "any JSON": {"json_object": True},
    "regex": {"regex": r"[a-z]{1,20}@[a-z]{1,20}\.(com|org)"},
    "empty regex": {"regex": ""},
    "choice": {"choice": ["red", "green", 'a "quoted"\nblue']},
    "EBNF": {"grammar": 'root ::= "yes" | "no" number\nnumber ::= [0-9]+'},
    "Lark": {"grammar": 'start: "yes" | "no" NUMBER\nNUMBER: /[0-9]+/'},
    "structural tag": {"structural_tag": json.dumps(TAGS)},
}
PASSED_OVER: dict[str, Any] = {
    "a pattern": {"pattern": "^a$"},
    "properties": PERSON | {"anyOf": [{"required": ["name"]}, {"required": ["age"]}]},
}
"""Schemas of which xgrammar would not follow a part."""

OTHER_BACKEND: dict[str, dict[str, Any]] = {
    "guidance": {"json": {"type": "integer", "multipleOf": 5}},
    "outlines": {
        "json": {
            "type": "object",
            "properties": {"a": {"type": "integer", "multipleOf": 2}},
            "patternProperties": {"^x": {"type": "string"}},
        }
    },
}
WRONG: dict[str, dict[str, Any]] = {
    "unknown type": {"json": {"type": "nothing"}},
    "schema that is no JSON": {"json": '{"type": '},
    "schema of nothing": {"json": " "},
    "schema nested too deeply": {"json": '{"not":' * 200 + "{}" + "}" * 200},
    "reference to nothing": {"json": {"$ref": "#/$defs/missing"}},
    "endless reference": {"json": {"$ref": "#"}},
    "regex not closed": {"regex": "(a"},
    "regex with NUL": {"regex": "a\x00b"},
    "repetition backwards": {"regex": "a{5,2}"},
    "nothing to choose": {"choice": []},
    "EBNF with an unknown rule": {"grammar": "root ::= missing"},
    "EBNF without a root": {"grammar": 'other ::= "a"'},
    "EBNF not closed": {"grammar": 'root ::= ("a"'},
    "EBNF nested too deeply": {"grammar": "root ::= " + "(" * 20_000 + '"a"' + ")" * 20_000},
    "empty grammar": {"grammar": "\n"},
    "Lark with an unknown rule": {"grammar": "start: missing"},
    "tag that is no JSON": {"structural_tag": "<call>"},
    "tag without a trigger": {"structural_tag": json.dumps(TAGS | {"triggers": []})},
    "tag of an unknown format": {
        "structural_tag": json.dumps({"type": "structural_tag", "format": {"type": "nothing"}})
    },
    "tag that is a list": {"structural_tag": "[]"},
    "JSON that is not wanted": {"json_object": False},
}
HOSTILE: dict[str, dict[str, Any]] = {
    "repetitions of repetitions": {"regex": "(a{1,1000}){1,1000}{1,1000}"},
    "2,000 choices of 1,000 characters": {"choice": [f"{n:04d}" * 250 for n in range(2000)]},
    "a grammar of 200,000 rules": {
        "grammar": "".join(f'r{n} ::= "a" | r{n + 1}\n' for n in range(200_000))
        + 'r200000 ::= "b"\nroot ::= r0'
    },
}


QUICK = "an engine in a hurry"


def prepare_all(configs: dict[str, VllmConfig], limits: GrammarLimits) -> Try:
    """Be ready for several engines at once; the first line of a grammar names its engine."""
    trials = {name: Trials(config, token_s=5.0) for name, config in configs.items()}
    # A clock of the CPU may stand still for a whole token: no time at all is too long here.
    trials[QUICK] = Trials(configs["auto"], token_s=-1.0)

    def attempt(grammar: bytes) -> Verdict:
        name, _, text = grammar.partition(b"\n")
        return trials[name.decode()].attempt(text)

    # What the server itself calls, once.
    prepare(configs["auto"], limits)
    return attempt


class Bench:
    """A helper process with vLLM's backends, and the real event loop that it is asked from."""

    def __init__(self, base: Path) -> None:
        model = ModelConfig(model=str(base), dtype="float32")
        configs = {
            backend: VllmConfig(
                model_config=model,
                structured_outputs_config=StructuredOutputsConfig(backend=backend),
            )
            for backend in ("auto", *BACKENDS)
        }
        self.runner = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)
        self.helper = GrammarHelper(partial(prepare_all, configs), LIMITS, TRIAL_ENVIRONMENT)

    def verdict(self, grammar: dict[str, Any], engine: str = "auto") -> Passed | Refused:
        text = f"{engine}\n{json.dumps(grammar)}".encode()
        return self.runner.run(self.helper.compile(text))

    @property
    def process(self) -> psutil.Process:
        assert self.helper.pid is not None
        return psutil.Process(self.helper.pid)

    def close(self) -> None:
        self.runner.run(self.helper.stop())
        self.runner.close()


@pytest.fixture(scope="module")
def bench(tiny_base: Path) -> Iterator[Bench]:
    bench = Bench(tiny_base)
    yield bench
    bench.close()


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_grammar_of_each_kind_passes(bench: Bench, kind: str) -> None:
    """Every way to say what an answer should follow."""
    assert bench.verdict(GOOD[kind]) == Passed("xgrammar")


@pytest.mark.parametrize("backend", OTHER_BACKEND)
def test_what_xgrammar_lacks_goes_to_another_backend(bench: Bench, backend: str) -> None:
    """vLLM's own choice among its backends stays."""
    assert bench.verdict(OTHER_BACKEND[backend]) == Passed(backend)


@pytest.mark.parametrize("kind", PASSED_OVER)
def test_no_part_of_a_schema_is_passed_over(bench: Bench, kind: str) -> None:
    """llguidance takes what xgrammar would follow in part."""
    assert bench.verdict({"json": PASSED_OVER[kind]}) == Passed("guidance")


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_grammar_has_a_reason(bench: Bench, kind: str) -> None:
    """One line that tells what is wrong, without a place in a compiler's source."""
    verdict = bench.verdict(WRONG[kind])
    assert isinstance(verdict, Refused), kind
    assert len(verdict.reason) > 10
    assert "\n" not in verdict.reason
    assert ".cc:" not in verdict.reason


def test_a_compiler_without_memory_is_no_mistake_of_the_grammar() -> None:
    """However vLLM wraps the complaint, whoever set the limit tells of it."""
    trials = Trials(VllmConfig(), token_s=1.0)

    def validate(wanted: object) -> NoReturn:
        raise VLLMValidationError("Failed to transform choices into a grammar: std::bad_alloc")

    trials._validate = validate  # type: ignore[method-assign]
    with pytest.raises(MemoryError):
        trials.attempt(b'{"regex": "a"}')


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_grammar_ends_at_a_limit(bench: Bench, kind: str) -> None:
    """Whatever it costs, it is a refusal, nothing of it goes on, and the next grammar passes."""
    assert isinstance(bench.verdict(HOSTILE[kind]), Refused)
    assert bench.process.children() == []
    assert bench.verdict(GOOD["regex"]) == Passed("xgrammar")


def test_a_grammar_that_is_slow_for_each_token_is_refused(bench: Bench) -> None:
    """What compiles quickly may still take long between two steps of everybody's answers."""
    verdict = bench.verdict(GOOD["JSON schema"], QUICK)
    assert isinstance(verdict, Refused)
    assert "grammar_token_s" in verdict.reason


def test_a_grammar_that_nothing_can_begin_is_refused(bench: Bench) -> None:
    """The engine would end the request in the middle of its first step."""
    assert isinstance(bench.verdict({"regex": r"[^\s\S]"}), Refused)


def test_the_helper_has_one_thread(bench: Bench) -> None:
    """A process that forks may have no other, whose locks the child would inherit."""
    assert bench.verdict(GOOD["regex"]) == Passed("xgrammar")
    assert bench.process.num_threads() == 1


@pytest.mark.parametrize("backend", ["xgrammar", "guidance", "outlines"])
def test_each_backend_that_an_operator_can_choose(bench: Bench, backend: str) -> None:
    """A good grammar passes, a wrong one is refused, whichever backend takes both.

    lm-format-enforcer does not know the CPU build of vLLM by its name, and refuses to run on it.
    """
    assert bench.verdict(GOOD["regex"], backend) == Passed(backend)
    assert bench.verdict(GOOD["choice"], backend) == Passed(backend)
    for kind in ("regex not closed", "schema that is no JSON", "nothing to choose"):
        assert isinstance(bench.verdict(WRONG[kind], backend), Refused), kind


def test_a_message_of_xgrammar_is_cleaned() -> None:
    """Time and place in its source are no use to a client."""
    text = "\n[10:05:42] /project/cpp/regex_converter.cc:83: Regex parsing error at position 3: bad"
    assert clean(text) == "Regex parsing error at position 3: bad"
    assert clean("") == ""


def test_the_cause_is_told_where_the_error_hides_it() -> None:
    """vLLM says that a grammar is invalid, its cause says why."""
    error = VLLMValidationError("Invalid grammar specification.", parameter="grammar", value="x")
    error.__cause__ = RuntimeError("[10:05:42] /project/cpp/grammar.cc:9: EBNF error at line 1")
    assert reason_of(error) == "Invalid grammar specification: EBNF error at line 1"
    assert reason_of(ValueError("plain")) == "plain"
    assert reason_of(KeyError()) == "KeyError"
