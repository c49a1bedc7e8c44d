"""What spoils an export: markup, set phrases, cut answers, other languages, copies.

A noise is named by the reason that a preparation gives for it.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.data.planted import runs, similarity
from tests.data.transcripts.conversations import AGENT, USER, Conversation

_FOREIGN = (
    ("Guten Tag, mein Paket ist seit einer Woche unterwegs, was kann ich tun?",
     "Das tut uns leid. Bitte prüfen Sie die Sendungsverfolgung und warten Sie noch zwei Tage."),
    ("Bonjour, je voudrais changer mon mot de passe mais le lien ne marche pas du tout.",
     "Bonjour, ouvrez la page de connexion, puis choisissez mot de passe oublié, et attendez."),
    ("Buenos días, no puedo entrar en mi cuenta desde ayer por la noche.",
     "Buenos días, cierre la aplicación, vuelva a abrirla y escriba de nuevo su contraseña."),
)  # fmt: skip
_PHRASES = {
    "en": ("Sent from my iPhone", "This chat may be recorded for training.", "[image]"),
    "zh": ("发自我的iPhone", "本次对话可能会被录音。", "[图片]"),
}
_CUT = {"en": " and the", "zh": "，并且"}
_ADDED = {
    "en": ("Thanks in advance.", "Hope to hear from you soon.", "Best regards."),
    "zh": ("谢谢啦。", "辛苦了。", "麻烦快一点哦。"),
}


def _markup(talk: Conversation, dice: random.Random) -> Conversation:
    place, text = _answer_of(talk)
    return talk.with_text(place, f"<p>{text.replace(chr(10), '<br>')}</p>&nbsp;")


def _phrase(talk: Conversation, dice: random.Random) -> Conversation:
    place = len(talk.turns) - 2
    return talk.with_text(place, f"{talk.turns[place][1]}\n{dice.choice(_PHRASES[talk.language])}")


def _cut(talk: Conversation, dice: random.Random) -> Conversation:
    place, text = _answer_of(talk)
    half = text[: len(text) * 2 // 3].rstrip()
    return talk.with_text(place, half + _CUT[talk.language])


def _foreign(talk: Conversation, dice: random.Random) -> Conversation:
    question, answer = dice.choice(_FOREIGN)
    turns = ((USER, f"{talk.kept[0]}: {question}"), (AGENT, answer))
    return Conversation(talk.language, turns, kept=talk.kept)


def _mojibake(talk: Conversation, dice: random.Random) -> Conversation:
    place = len(talk.turns) - 2
    spoiled = " It’s “urgent” – merci à vous".encode().decode("cp1252", "replace")
    return talk.with_text(place, talk.turns[place][1] + spoiled)


def _repeated(talk: Conversation, dice: random.Random) -> Conversation:
    place, _ = _answer_of(talk)
    word = "请稍等" if talk.language == "zh" else "please hold the line "
    return talk.with_text(place, (word * 60).strip())


def _characters(talk: Conversation, dice: random.Random) -> Conversation:
    place, text = _answer_of(talk)
    middle = len(text) // 2
    return talk.with_text(place, f"{text[:middle]}\u200b\x07{text[middle:]}")


def _empty(talk: Conversation, dice: random.Random) -> Conversation:
    return talk.with_text(len(talk.turns) - 1, "<br>")


def _unchanged(talk: Conversation, dice: random.Random) -> Conversation:
    return talk


NOISES: dict[str, Callable[[Conversation, random.Random], Conversation]] = {
    "markup_removed": _markup,
    "boilerplate_removed": _phrase,
    "truncated_answer": _cut,
    "wrong_language": _foreign,
    "mojibake_repaired": _mojibake,
    "repetitive_answer": _repeated,
    "characters_removed": _characters,
    "empty_answer": _empty,
    # Written in another encoding than its file, or cut in the middle of a line: see `exports`.
    "encoding_repaired": _unchanged,
    "broken_line": _unchanged,
}
"""What spoils a conversation, by the reason that says so."""


def exact_copy(talk: Conversation) -> Conversation:
    """Return a conversation that says the same, with other spaces and widths."""
    place = len(talk.turns) - 2
    text = talk.turns[place][1]
    return talk.with_text(place, f" {text.replace(',', ' ,').replace('，', ',')} ")


def near_copy(talk: Conversation, dice: random.Random) -> Conversation:
    """Return a conversation with a sentence more, at least 0.85 similar to the first."""
    place = len(talk.turns) - 2
    added = dice.choice(_ADDED[talk.language])
    copy = talk.with_text(place, f"{talk.turns[place][1]} {added}")
    if similarity(runs(talk.said), runs(copy.said)) < 0.85:
        raise ValueError(f"a copy is too far from {talk.said!r}")
    return copy


def _answer_of(talk: Conversation) -> tuple[int, str]:
    place = len(talk.turns) - 1
    return place, talk.turns[place][1]
