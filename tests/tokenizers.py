"""Small tokenizers, saved by transformers' own saver."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}"
    "{% endfor %}"
)
END, OTHER_END, UNKNOWN = "<|end|>", "<|turn|>", "<unk>"


def save_tokenizer(
    folder: Path,
    *,
    template: str | Mapping[str, str] | None = TEMPLATE,
    end: str = END,
    added: tuple[str, ...] = (),
    legacy: bool = False,
) -> Path:
    """Save a tokenizer of a few words; with `legacy` the template goes into its config."""
    from transformers import PreTrainedTokenizerFast

    from tokenizers import Tokenizer, models

    words = (UNKNOWN, END, OTHER_END, "yes", "no")
    vocabulary = {word: number for number, word in enumerate(words)}
    model = models.WordLevel(vocabulary, unk_token=UNKNOWN)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(model), unk_token=UNKNOWN, eos_token=end
    )
    tokenizer.add_special_tokens({"additional_special_tokens": [END, OTHER_END, *added]})
    tokenizer.chat_template = template
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder, save_jinja_files=not legacy)
    return folder


def save_numbered_tokenizer(folder: Path, count: int) -> Path:
    """Save a tokenizer whose token N is the word `wN`, into the folder of a base."""
    from transformers import PreTrainedTokenizerFast

    from tokenizers import Tokenizer, models

    model = models.WordLevel({f"w{number}": number for number in range(count)}, unk_token="w0")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(model), unk_token="w0", bos_token="w1", eos_token="w2"
    )
    tokenizer.save_pretrained(folder)
    return folder
