"""The raw transcripts of the three domains, and a preparation that finds what was planted there."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from lorabay.data.cleaning.cleaner import CleaningWishes
from lorabay.data.deidentify.keys import Key
from lorabay.data.deidentify.wishes import DeidentifyWishes
from lorabay.data.prepare import PrepareWishes, prepare
from lorabay.training.dataset import read_examples
from tests.data.planted import runs, similarity
from tests.data.transcripts.cases import ADAPTERS, DOMAINS, LANGUAGES, cases
from tests.data.transcripts.counted import counted
from tests.data.transcripts.exports import entries, write_exports
from tests.data.transcripts.spoiling import NOISES

COUNT, SEED, SAMPLE = 1000, 17, 20
DIGESTS = {
    "ecommerce": "389483bd891674b9aae7513d761e0610a6eb81d06d53051a54b66d63aef0960b",
    "finance": "bf9636fd295854e4074f7bcfeff8a2d9e3ab411aa1cb282dd45c3017b6505f40",
    "tech-support": "f018db97aaaf13e2d1006c96050163e56cae0e618265da1d6b5055166991c080",
}
SOFT = {"NAME", "ADDRESS"}


def _write(folder: Path, domain: str, count: int) -> Path:
    key = write_exports(folder / domain, entries(domain, count, SEED))
    lines = "".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in key)
    (folder / f"{domain}.key.jsonl").write_text(lines, encoding="utf-8")
    return folder / domain


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_same_seed_makes_the_same_bytes(domain: str, tmp_path: Path) -> None:
    """So the transcripts need not lie in the repository to be the same for everybody."""
    folder = _write(tmp_path, domain, COUNT)
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.read_bytes())
    assert digest.hexdigest() == DIGESTS[domain]


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_sample_is_how_the_transcripts_begin(domain: str, tmp_path: Path) -> None:
    """What a reader looks at is what is made."""
    folder = _write(tmp_path, domain, COUNT)
    for language in LANGUAGES:
        name = f"chats-{language}.txt"
        sample = (ADAPTERS / domain / "raw" / name).read_bytes()
        assert (folder / name).read_bytes().startswith(sample)
        assert sample.count(b"\n---\n") == SAMPLE


@pytest.mark.parametrize("domain", DOMAINS)
def test_conversations_are_not_alike(domain: str) -> None:
    """A thousand of several turns, in both languages, and hardly two as similar as duplicates."""
    clean = [one.talk for one in entries(domain, COUNT, SEED) if not one.noise and not one.copy]
    assert len(clean) == COUNT
    assert Counter(one.language for one in clean)["zh"] > 0.3 * COUNT
    assert sum(len(one.turns) > 2 for one in clean) > 0.5 * COUNT

    some = [runs(one.said) for one in clean[:150]]
    alike = sum(similarity(one, other) >= 0.8 for at, one in enumerate(some) for other in some[:at])
    assert alike <= 1


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_cases_are_whole_and_none_is_held_out(domain: str, language: str) -> None:
    """Each has a question and an answer; no held-out question is asked, so nothing leaks."""
    found = cases(domain, language)
    assert len(found) >= 20
    for case in found:
        assert case.questions
        assert len(case.answer.splitlines()) >= 3
        assert not re.search(r"^[?!*#]", case.answer, re.MULTILINE)

    held_out = {one.question for one in read_examples(ADAPTERS / domain / "data" / "heldout.jsonl")}
    assert not held_out & {question for case in found for question in case.questions}


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_preparation_finds_what_was_planted(
    domain: str, tmp_path: Path, figures: list[str]
) -> None:
    """Personal data, noise and copies; numbers of orders stay, and no two parts share a row."""
    raw = _write(tmp_path, domain, 100)
    wishes = PrepareWishes(
        cleaning=CleaningWishes(languages="zh,en"),
        deidentify=DeidentifyWishes("surrogates", Key(b"0123456789abcdef")),
    )
    prepare([raw], tmp_path / "prepared", wishes)
    counts = counted(raw, tmp_path / "prepared")
    figures += [domain, *counts.lines()]

    found: Counter[str] = Counter()
    there: Counter[str] = Counter()
    for (kind, _), (gone, of) in counts.personal.items():
        group = "soft" if kind in SOFT else "hard"
        found[group] += gone
        there[group] += of
    assert there["soft"] > 60
    assert there["hard"] > 60
    assert found["hard"] >= 0.98 * there["hard"]
    assert found["soft"] >= 0.85 * there["soft"]
    assert counts.kept[0] == counts.kept[1]
    assert {name for name, (some, of) in counts.noise.items() if some < of} == set()
    assert set(counts.noise) <= set(NOISES)
    assert all(some == of for some, of in counts.copies.values())
    assert counts.unasked <= 3
    assert counts.removed_for_no_reason == 0
    assert counts.closest_over_parts < 0.8
