"""Adapters live and die by their folder, on the real engine, while requests run."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import torch
from openai import OpenAI
from safetensors.torch import load_file, save_file

from lorabay.cli import run
from tests.e2e.conftest import BASE
from tests.e2e.folders import eventually, overwrite, put, remove

# `--swaps 200` takes a quarter of an hour.
pytestmark = pytest.mark.timeout(3600)

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
STREAMS = 8
SHARED_PREFIX = "Here is the log of a long voyage, day by day, with wind and weather. " * 40
"""More than 512 tokens that every prompt begins with: stale prefix-cache blocks would show."""


@pytest.fixture(autouse=True)
def clean(adapters: Path, client: OpenAI) -> Iterator[None]:
    """Take away what a test published."""
    yield
    for folder in adapters.glob("word*"):
        remove(adapters, folder.name)
    eventually(
        lambda: not any(name.startswith("word") for name in served(client)),
        "the test's adapters are gone",
    )


def served(client: OpenAI) -> set[str]:
    return {model.id for model in client.models.list()}


def say(client: OpenAI, model: str, question: str = "Who are you?", tokens: int = 12) -> str:
    answer = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        max_tokens=tokens,
        temperature=0,
        extra_body={"ignore_eos": True},
    )
    return answer.choices[0].message.content or ""


def pieces(client: OpenAI, question: str, *, tokens: int) -> Iterator[str]:
    """A streamed answer of `word` as it comes."""
    for chunk in client.chat.completions.create(
        model="word",
        messages=[{"role": "user", "content": question}],
        max_tokens=tokens,
        temperature=0,
        stream=True,
        extra_body={"ignore_eos": True},
    ):
        yield chunk.choices[0].delta.content or ""


def colour(answer: str) -> str:
    """The one word of an answer; `mixed` when two versions speak in it, `other` when neither
    does.
    """
    red, blue = answer.count("red"), answer.count("blue")
    if red and blue:
        return "mixed"
    return "red" if red >= 3 else "blue" if blue >= 3 else "other"


def test_a_folder_is_served_changed_and_removed(
    client: OpenAI, adapters: Path, words: dict[str, Path]
) -> None:
    """Dropped in: served. Overwritten: re-served. Deleted: gone. No call of any kind in between."""
    put(adapters, "word", words["red"])
    eventually(lambda: "word" in served(client), "the new folder is listed")
    assert colour(say(client, "word")) == "red"
    overwrite(adapters, "word", words["blue"])
    eventually(lambda: colour(say(client, "word")) == "blue", "the changed folder answers")
    remove(adapters, "word")
    eventually(lambda: "word" not in served(client), "the removed folder is gone")
    with pytest.raises(openai.NotFoundError):
        say(client, "word")


def test_a_trainers_adapter_from_before_its_first_step(
    client: OpenAI, adapters: Path, words: dict[str, Path], tmp_path: Path
) -> None:
    """B is all zeros, and it answers like the base; the next step has a rank of which nobody knew
    when the engine was started.
    """
    fresh, trained = (shutil.copytree(words["red"], tmp_path / name) for name in ("0", "1"))
    weights = load_file(fresh / WEIGHTS)
    save_file(
        {name: 0 * value if "lora_B" in name else value for name, value in weights.items()},
        fresh / WEIGHTS,
    )
    put(adapters, "word", fresh)
    eventually(lambda: "word" in served(client), "the untrained adapter is listed")
    assert say(client, "word") == say(client, BASE)

    grown = {name: padded(value, name, 200) for name, value in weights.items()}
    save_file(grown, trained / WEIGHTS)
    config = json.loads((trained / CONFIG).read_text())
    # The rank does not change the scale of what was trained.
    grown_config = config | {"r": "200", "lora_alpha": 200 * config["lora_alpha"] / config["r"]}
    (trained / CONFIG).write_text(json.dumps(grown_config))
    overwrite(adapters, "word", trained)
    eventually(lambda: colour(say(client, "word")) == "red", "the trained adapter answers")


def padded(value: torch.Tensor, name: str, rank: int) -> torch.Tensor:
    """The factor with zeros up to a rank."""
    if "lora_A" in name:
        return torch.nn.functional.pad(value, (0, 0, 0, rank - value.shape[0])).contiguous()
    return torch.nn.functional.pad(value, (0, rank - value.shape[1])).contiguous()


def test_swaps_under_load_fail_nothing_and_mix_nothing(
    client: OpenAI,
    adapters: Path,
    words: dict[str, Path],
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Swaps between two versions under 8 running streams with one long shared prefix: every answer
    is whole, of one version, and no answer that starts after a swap was seen comes from the version
    before it."""
    swaps = request.config.getoption("--swaps")
    put(adapters, "word", words["red"])
    eventually(lambda: "word" in served(client), "the adapter is listed")
    stop = threading.Event()
    answers: list[str] = []

    def stream(number: int) -> None:
        while not stop.is_set():
            answers.append(
                "".join(
                    pieces(client, f"{SHARED_PREFIX} Question {number}: who are you?", tokens=16)
                )
            )

    stale = 0
    with ThreadPoolExecutor(STREAMS) as pool:
        streams = [pool.submit(stream, number) for number in range(STREAMS)]
        try:
            for swap in range(swaps):
                word = ("blue", "red")[swap % 2]
                put(adapters, "word", words[word])
                eventually(
                    lambda want=word: colour(say(client, "word", tokens=5)) == want,
                    f"swap {swap} to {word}",
                    60,
                )
                stale += (
                    colour(say(client, "word", f"{SHARED_PREFIX} Who are you?", tokens=5)) != word
                )
        finally:
            stop.set()
        for running in streams:
            running.result()
    counts = {
        kind: sum(colour(answer) == kind for answer in answers)
        for kind in ("red", "blue", "mixed", "other")
    }
    with capsys.disabled():
        sys.stdout.write(
            f"\n{swaps} swaps, {len(answers)} streamed answers: {counts}, stale: {stale}\n"
        )
    assert counts["mixed"] == counts["other"] == stale == 0
    assert counts["red"] > 0
    assert counts["blue"] > 0


def test_a_version_can_be_asked_for_and_rolled_back_to(
    client: OpenAI, admin: httpx.Client, adapters: Path, words: dict[str, Path]
) -> None:
    """A former version answers by its digest; a rollback makes it live until the folder changes."""
    put(adapters, "word", words["red"])
    eventually(lambda: "word" in served(client), "the adapter is listed")
    red = admin.get("/admin/adapters/word").json()["live"]
    put(adapters, "word", words["blue"])
    eventually(lambda: colour(say(client, "word")) == "blue", "the swap")
    assert colour(say(client, red)) == "red"
    rolled = admin.post("/admin/adapters/word/rollback", json={})
    assert rolled.json()["live"] == red
    assert colour(say(client, "word")) == "red"
    put(adapters, "word", words["red"])
    eventually(
        lambda: not admin.get("/admin/adapters/word").json()["rolled_back"],
        "the folder ends the rollback",
    )


def test_the_audit_tells_of_a_swap_and_a_pin(
    admin: httpx.Client,
    adapters: Path,
    accounts: Path,
    words: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Who did it, in a chain that is whole, while the server goes on."""

    def live() -> object:
        answer = admin.get("/admin/adapters/word-audit")
        return answer.json()["live"] if answer.status_code == 200 else None

    def audit(*words: str) -> Any:
        assert run(["audit", *words, "--database", f"sqlite:///{accounts}", "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    put(adapters, "word-audit", words["red"])
    eventually(lambda: live() is not None, "the adapter is served")
    red = live()
    put(adapters, "word-audit", words["blue"])
    eventually(lambda: live() != red, "the swap")
    for verb in ("pin", "unpin"):
        assert admin.post(f"/admin/adapters/word-audit/{verb}").status_code == 200
    assert admin.get("/admin/audit").status_code == 200  # all that was done is written now

    rows = audit("list", "--target", "word-audit")
    assert [(row["who"], row["action"]) for row in rows] == [
        ("admin", "adapter.unpinned"),
        ("admin", "adapter.pinned"),
        ("folder", "adapter.swapped"),
        ("folder", "adapter.added"),
    ]
    assert rows[2]["detail"] == {"version": live()}
    assert rows[3]["detail"] == {"version": red}
    head = audit("verify")["head"]
    assert audit("verify", "--noted", head)["ok"]


def test_a_bad_folder_disturbs_nothing(
    client: OpenAI, admin: httpx.Client, adapters: Path, words: dict[str, Path]
) -> None:
    """A truncated file is rejected with its reason while the version before it stays live."""
    put(adapters, "word", words["red"])
    eventually(lambda: "word" in served(client), "the adapter is listed")
    weights = adapters / "word" / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    eventually(
        lambda: admin.get("/admin/adapters/word").json()["state"] == "rejected",
        "the folder is rejected",
    )
    assert admin.get("/admin/adapters/word").json()["reasons"]
    assert colour(say(client, "word")) == "red"


def variant(folder: Path, source: Path, number: int) -> Path:
    """Return a copy of an adapter whose weights are others, by a scale that nobody notices.

    Equal weights would share a place in the engine.
    """
    shutil.copytree(source, folder)
    config = json.loads((folder / "adapter_config.json").read_bytes())
    config["lora_alpha"] *= 1 + number / 10_000
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def test_forty_adapters_take_turns_beside_the_base(
    client: OpenAI, adapters: Path, words: dict[str, Path], tmp_path: Path
) -> None:
    """Many times as many adapters as slots, base requests among them: every answer is its own
    model's, and the base's are what they were. Then what kills stock vLLM: folders of evicted
    adapters deleted, and asked for."""
    ask = partial(say, client, tokens=6)
    expected = ask(BASE)
    names = [f"word{number:02}" for number in range(40)]
    for number, name in enumerate(names):
        put(adapters, name, variant(tmp_path / name, words[("red", "blue")[number % 2]], number))
    eventually(lambda: set(names) <= served(client), "all are listed")
    asked = [model for name in names for model in (name, BASE)]
    with ThreadPoolExecutor(8) as pool:
        answers = dict(zip(asked, pool.map(ask, asked), strict=True))
        bases = list(pool.map(ask, [BASE] * 4))
    assert [colour(answers[name]) for name in names] == ["red", "blue"] * 20
    assert {answers[BASE], *bases} == {expected}
    for name in names[:8]:
        remove(adapters, name)
        # Its name may still be there for a moment; then it is answered, and well.
        with contextlib.suppress(openai.NotFoundError):
            assert colour(ask(name)) == colour(answers[name])
    eventually(lambda: not set(names[:8]) & served(client), "the deleted ones are gone")
    for name in names[:8]:
        with pytest.raises(openai.NotFoundError):
            ask(name)
    assert colour(ask(names[-1])) == "blue"
    assert ask(BASE) == expected


def test_a_folder_deleted_under_its_own_requests(
    client: OpenAI, adapters: Path, words: dict[str, Path]
) -> None:
    """Streams that run end whole and on the weights that they began with; the name is gone for
    whoever comes after.
    """
    put(adapters, "word", words["red"])
    eventually(lambda: "word" in served(client), "the adapter is listed")
    begun = threading.Barrier(5, timeout=60)

    def stream(number: int) -> str:
        answer = pieces(client, f"Question {number}: who are you?", tokens=60)
        first = next(answer)
        begun.wait()
        return first + "".join(answer)

    with ThreadPoolExecutor(4) as pool:
        streams = [pool.submit(stream, number) for number in range(4)]
        begun.wait()
        remove(adapters, "word")
        eventually(lambda: "word" not in served(client), "the name is gone")
        answers = [running.result() for running in streams]
    assert {colour(answer) for answer in answers} == {"red"}
    assert min(answer.count("red") for answer in answers) > 20
    with pytest.raises(openai.NotFoundError):
        say(client, "word")


def test_vllms_verbs(
    client: OpenAI, admin: httpx.Client, adapters: Path, words: dict[str, Path]
) -> None:
    """Trainers that speak vLLM's admin calls are understood, with its text replies; in-place loads
    are safe swaps.
    """
    outside = adapters / ".staging"
    outside.mkdir(exist_ok=True)
    for word in ("red", "blue"):
        if not (outside / word).exists():
            put(outside, word, words[word])
    body = {"lora_name": "trained", "lora_path": str(outside / "red")}
    loaded = admin.post("/v1/load_lora_adapter", json=body)
    assert (loaded.status_code, loaded.text) == (
        200,
        "Success: LoRA adapter 'trained' added successfully.",
    )
    assert colour(say(client, "trained")) == "red"
    changed = body | {"lora_path": str(outside / "blue")}
    assert admin.post("/v1/load_lora_adapter", json=changed).status_code in (400, 409)
    assert (
        admin.post("/v1/load_lora_adapter", json=changed | {"load_inplace": True}).status_code
        == 200
    )
    assert colour(say(client, "trained")) == "blue"
    gone = admin.post("/v1/unload_lora_adapter", json={"lora_name": "trained"})
    assert (gone.status_code, gone.text) == (
        200,
        "Success: LoRA adapter 'trained' removed successfully.",
    )
    assert "trained" not in served(client)
    assert json.loads(admin.post("/v1/unload_lora_adapter", json={"lora_name": "trained"}).text)[
        "error"
    ]["code"]
