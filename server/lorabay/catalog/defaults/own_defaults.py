"""Reads what an adapter's own folder says about its use: template, end tokens, `lorabay.toml`.

What the base says already is none of the adapter's: an equal template, or the base's own end
tokens. An end token has to be one that the base's vocabulary has. Tokens that the adapter's
tokenizer adds are not taken over: the engine has one tokenizer, the base's. Where that matters a
warning says so, with the way out. Every file that cannot be understood is a reason. Knows nothing
of weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabay.base.tokenizer import BaseTokenizer
from lorabay.catalog.adapter_defaults import NO_DEFAULTS, AdapterDefaults
from lorabay.catalog.defaults import chat_templates, defaults_file
from lorabay.files import tokenizer_fields
from lorabay.files.adapter_folder import Unreadable
from lorabay.files.impostors import SNIFFED_BYTES, impostor
from lorabay.files.side_files import (
    ADDED_TOKENS_FILE,
    GENERATION_CONFIG_FILE,
    SETTINGS_FILE,
    SIDE_FILES,
    TEMPLATE_FILE,
    TEMPLATE_JSON_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    read_side_file,
    side_files_in,
)
from lorabay.reasons import Reason, Rejected, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

_SHOWN = 5
"""Tokens that a warning names at most."""

_OUT = "merge the adapter (`lorabay merge`) to keep its tokenizer"


@dataclass(frozen=True, slots=True)
class OwnDefaults:
    """What a folder says about its adapter's use, and every reason why it cannot be followed."""

    defaults: AdapterDefaults = NO_DEFAULTS
    warnings: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()


def read_own_defaults(folder: Path, base: BaseTokenizer) -> OwnDefaults:
    """Return what the side files of `folder` say that `base` does not say itself."""
    files = _Files(folder, _names(folder))
    stated = files.settings()
    tokenizer = files.config(TOKENIZER_CONFIG_FILE)
    template = files.template(tokenizer)
    added = files.added_tokens(tokenizer)
    end_tokens = files.end_tokens(tokenizer, added, base)

    if template is not None and chat_templates.are_equal(template, base.chat_template):
        template = None
    unknown = [text for text in end_tokens if not base.has(text)]
    if unknown:
        files.warnings.append(
            f"the end token {_named(unknown)} of the adapter is not in the base's vocabulary, and "
            f"ends no answer; {_OUT}"
        )
    files.warnings.extend(_additions(added, base))

    defaults = replace(
        stated,
        chat_template=template,
        end_tokens=tuple(sorted(set(end_tokens) - set(unknown) - base.end_tokens)),
    )
    return OwnDefaults(defaults, tuple(files.warnings), tuple(files.reasons))


def _names(folder: Path) -> Collection[str]:
    try:
        return side_files_in(folder)
    except OSError:
        return tuple(SIDE_FILES)  # each of them will say what is wrong


def _additions(added: Mapping[str, int], base: BaseTokenizer) -> Iterator[str]:
    """Warn of tokens that the base would read as other tokens, or as several."""
    known = base.added
    strange = [text for text in added if text not in known]
    # Only now the vocabulary, which takes long to read.
    strange = [text for text in strange if not base.has(text)]
    moved = [text for text, number in added.items() if known.get(text, number) != number]
    if strange:
        yield (
            f"the adapter's tokenizer adds {_named(strange)}, which the base reads as several "
            f"tokens; {_OUT}"
        )
    if moved:
        yield f"the adapter's tokenizer numbers {_named(moved)} otherwise than the base; {_OUT}"


@dataclass(frozen=True, slots=True)
class _Files:
    """The side files of one folder, those in `names`, and what is wrong with them."""

    folder: Path
    names: Collection[str]
    warnings: list[str] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)

    def settings(self) -> AdapterDefaults:
        """Return what `lorabay.toml` says."""
        content = self._read(SETTINGS_FILE)
        if content is None:
            return NO_DEFAULTS
        stated = defaults_file.parse(content)
        if isinstance(stated, Rejected):
            self.reasons.extend(stated.reasons)
            return NO_DEFAULTS
        return stated

    def template(self, tokenizer: Mapping[str, Any]) -> str | None:
        """Return the folder's chat template, from the file that transformers would take it from."""
        content = self._read(TEMPLATE_FILE)
        if content is not None:
            return self._decoded(TEMPLATE_FILE, content)

        sources = {TEMPLATE_JSON_FILE: self.config(TEMPLATE_JSON_FILE)}
        sources[TOKENIZER_CONFIG_FILE] = tokenizer
        for name, config in sources.items():
            template = self._field(name, tokenizer_fields.chat_template, config, None)
            others = self._field(name, tokenizer_fields.other_templates, config, ())
            if others:
                self.warnings.append(
                    f"{name} has further chat templates, {_named(others)}, which are not used"
                )
            if template is not None:
                return self._checked(name, template)
        return None

    def _decoded(self, name: str, content: bytes) -> str | None:
        try:
            return self._checked(name, content.decode())
        except UnicodeDecodeError:
            self._add(Reason("chat_template", f"the chat template in {name} is not UTF-8"))
            return None

    def _checked(self, name: str, template: str) -> str | None:
        problem = chat_templates.problem_of(template)
        if problem is None:
            return template
        self._add(Reason("chat_template", f"the chat template in {name} {problem}"))
        return None

    def end_tokens(
        self, tokenizer: Mapping[str, Any], added: Mapping[str, int], base: BaseTokenizer
    ) -> list[str]:
        """Return the texts of the tokens that the folder's files end an answer with.

        `added` are the tokens that its tokenizer adds.
        """
        found: list[str] = []
        own = self._field(TOKENIZER_CONFIG_FILE, tokenizer_fields.end_token, tokenizer, None)
        if own is not None:
            found.append(own)

        generation = self.config(GENERATION_CONFIG_FILE)
        ids = self._field(GENERATION_CONFIG_FILE, tokenizer_fields.end_token_ids, generation, ())
        texts = {number: text for text, number in added.items()}
        for number in ids:
            text = texts.get(number) or base.text_of(number)
            if text is not None:
                found.append(text)
            else:
                self.warnings.append(
                    f"{GENERATION_CONFIG_FILE} ends answers with token {number}, which the base "
                    f"does not have; {_OUT}"
                )
        return found

    def added_tokens(self, tokenizer: Mapping[str, Any]) -> dict[str, int]:
        """Return the tokens that the folder's tokenizer adds to its vocabulary."""
        tokens = tokenizer_fields.added_tokens(tokenizer)
        for text, number in self.config(ADDED_TOKENS_FILE).items():
            if isinstance(number, int):
                tokens[text] = number
        return tokens | tokenizer_fields.added_tokens_in_head(self._read(TOKENIZER_FILE) or b"")

    def config(self, name: str) -> Mapping[str, Any]:
        """Return the JSON object in a file; an empty one if there is none."""
        content = self._read(name)
        if content is None:
            return {}
        try:
            config = json.loads(content)
        except (ValueError, RecursionError) as error:
            text = f"{name} is not valid JSON: {quoted(str(error))}"
            self._add(Reason("tokenizer_file", text))
            return {}
        if not isinstance(config, dict):
            self._add(Reason("tokenizer_file", f"{name} is not a JSON object"))
            return {}
        return config

    def _field(
        self, name: str, read: Callable[[Mapping[str, Any]], Any], config: Any, otherwise: Any
    ) -> Any:
        try:
            return read(config)
        except ValueError as error:
            self._add(Reason("tokenizer_file", f"{name}: {error}"))
            return otherwise

    def _read(self, name: str) -> bytes | None:
        if name not in self.names:
            return None
        try:
            content = read_side_file(self.folder, name)
        except Unreadable as problem:
            self._add(problem.reason)
            return None

        # A template may be any text: an error page would be one, too. A whole vocabulary is not
        # needed, so it does not matter what lies there.
        other = impostor(name, (content or b"")[:SNIFFED_BYTES])
        if other is None or name == TOKENIZER_FILE:
            return content
        self._add(other)
        return None

    def _add(self, reason: Reason) -> None:
        # A file may be looked at more than once.
        if reason not in self.reasons:
            self.reasons.append(reason)


def _named(tokens: list[str] | tuple[str, ...]) -> str:
    """Return some texts, and how many more there are."""
    shown = ", ".join(quoted(text) for text in tokens[:_SHOWN])
    more = len(tokens) - _SHOWN
    return shown if more <= 0 else f"{shown} and {more} more"
