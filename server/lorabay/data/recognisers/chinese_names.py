"""Chinese names: the reading of a sentence that is the likeliest, of words and names.

A sentence is cut into words and names so that their weights add up to the least. A name weighs what
its parts do and what names do in general, less by what stands before and after it. So 高兴 is a
word, and 高 and a given name that is no word, after 我叫, are a name. Next to a title or after 姓 a
surname alone is found.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from lorabay.data.recognisers.chinese_cues import (
    MEDIUM,
    STRONG,
    TITLES,
    WEAK,
    around,
)
from lorabay.data.recognisers.finding import Finding, Kind
from lorabay.data.recognisers.lexicon import (
    LONGEST,
    foreign_letters,
    name_parts,
    usual_given_names,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

PRIOR = 5.25
"""What a name weighs before anything is known of it."""

ALONE = 1.5
"""What a surname without a given name weighs more."""

_UNKNOWN_CHARACTER, _UNKNOWN_PART = 17.0, 11.5
_ONE, _TWO, _THREE, _A_WORD = 1.4, 0.3, 1.0, 10.5
_USUAL_SIZES, _SIZES = (1, 2), (1, 2, 3)
_WELL_KNOWN = 7.5
"""What a given name weighs at most that many have: 建国, though it is a word."""

_NO_SURNAME, _UNUSUAL = 2.0, 1.5
_RATHER_RARE = 11.0
"""What a word weighs less than that is said often."""

_SURNAMES, _LONG_SURNAMES = (2, 1), (4, 3, 2, 1)
_PETS, _PET = "小阿", 4.0
"""What is put before a character of a name, and what it weighs."""

_MUCH = 4.0
"""What a cue after a name says, so that the beginning of a clause before it says something, too."""

_BOTH, _LITTLE = 1.5, 2.5
"""What it says that cues stand on both sides, or a cue and the end, and the least that counts."""

_USUAL = 9.0
"""What a given name weighs at most that is known by little."""

_FOREIGN, _LETTER = 12.0, 4.8
"""What a foreign name weighs before anything is known of it, and each character of it."""

_SHORTEST_FOREIGN, _LONGEST_FOREIGN = 3, 6

_LATIN = re.compile(r"[A-Za-z\d%\"'] ?$")
"""What a Chinese word may go on after, such as 时 in `%s 时出错`."""

_NOBODY = frozenset(
    "商家 班级 房客 阿姨 免贵 买家 卖家 店家 厂家 专家 管家 东家 行家 官方 公司 "  # noqa: SIM905
    "国家 单位 业主 车主 机主 户主 房东 "
    "宾客 常客 顾客 乘客 游客 旅客 高管 主管 经理 时候 时间 "
    "明明 常常 往往 偏偏 渐渐 通通 甲方 乙方 丙方 查房 封号 时段 单元 同上 相同 无名 未填 成交 "
    "商祺 平安 安康 常规 常用 通过 应该 还是 和谁 别人 谢绝 谢谢".split()
)
"""What reads like a name and is said of anybody."""

_NO_NAME = re.compile(
    r"[我你您他她它的了是在有不这那写着呢吗派请件]|([妈爸哥姐弟妹爷奶叔婶姑舅伯婆太宝娃])\1"
)
"""What is in no given name that stands alone."""

_NEVER = frozenset("的了吗呢吧给把被您你我他她它没着们")
"""What ends no given name."""

_SCORE = 0.8

_RUN = re.compile("[\u4e00-\u9fff]+")
_ALONE = re.compile(rf"(?:{TITLES})")
_FAMILY = re.compile(
    r"(?:姓|叫我小|叫我老|免贵|弓长|木子|双木|耳东|言午|口天|立早|草头|草字头|古月|三点水|双口|"
    r"人可|文刀|走肖|水工|禾呈|里予|双人|单人)$"
)
_NICKNAME = re.compile(r"[小老阿大]$")
_BOUNDARY = re.compile(r"(?:^|[^\u4e00-\u9fff]|[的是找叫给让请跟和问])[小老阿]$")
_KIN = re.compile("阿姨|[哥姐嫂叔婶姨](?![妹弟])|[奶爷]")
_SIBLING = re.compile("[哥姐](?![妹弟姐哥夫们])")
_VALUE = re.compile(r"[、,/。;]|\s*$")
_ASKED_FOR = "找叫给让请跟和问是把"
_JOINT = "和与跟及"
_SIGNS = ("、", "/", "&")
_LIST = re.compile(
    r" ?(?P<joint>[、/&]) ?(?=[\u4e00-\u9fff])|[,;、]? ?(?=[\u4e00-\u9fff]{2,4}(?![\u4e00-\u9fff]))"
)
"""A sign between two names; without one of `joint` each has to stand alone."""


@cache
def _first_of_long_surnames() -> frozenset[str]:
    """Return the characters that surnames of more than two begin with: 佐佐木, 爱新觉罗."""
    return frozenset(name[0] for name in name_parts().surnames if len(name) > _SURNAMES[0])


def find(view: View) -> Iterator[Finding]:
    """Yield names."""
    if not view.has_chinese:
        return

    reader = _Reader(view)
    for start, end in reader.names():
        yield Finding(Kind.NAME, start, end, _SCORE)


class _Reader:
    """The likeliest readings of the runs of a text."""

    def __init__(self, view: View) -> None:
        self._text = view.plain
        left, right = around(self._text)
        self._left, self._right = dict(left), dict(right)
        self._parts = name_parts()
        self._words = words()
        self._usual = usual_given_names()
        self._long = _first_of_long_surnames()
        self._letters = foreign_letters()
        if view.is_answer:
            self._left[0] = STRONG
            self._left[len(self._text) - len(self._text.lstrip())] = STRONG

    def names(self) -> Iterator[tuple[int, int]]:
        """Yield the places of the names: a name makes one beside it likely, in both directions."""
        runs = [run.span() for run in _RUN.finditer(self._text)]
        found = [self._read_joined(*run) for run in runs]
        for place in range(len(runs) - 1, 0, -1):
            if found[place] and self._reaches_back(found[place][0], runs[place - 1], runs[place]):
                found[place - 1] = self._read_joined(*runs[place - 1])
        for one in found:
            yield from one

    def _read_joined(self, start: int, end: int) -> list[tuple[int, int]]:
        """Return the names of a run, and take note of what they say of those beside them."""
        found = self._read(start, end)
        if found and self._join(found, start, end):
            found = self._read(start, end)
        if found and found[-1][1] == end:
            first = found[-1][0]
            is_alone = first == start or self._left.get(first, 0.0) >= STRONG
            self._reach_on(end, is_alone=is_alone)
        return found

    def _join(self, found: list[tuple[int, int]], start: int, end: int) -> bool:
        """Take note that a name next to a name is likely; return whether there is such a place."""
        joined = False
        for first, last in found:
            if last + 1 < end and self._text[last] in _JOINT:
                self._say(self._left, last + 1, MEDIUM)
                joined = True
            if first - 2 > start and self._text[first - 1] in _JOINT:
                self._say(self._right, first - 1, MEDIUM)
                joined = True
        return joined

    def _reach_on(self, end: int, *, is_alone: bool) -> None:
        """Take note that a list of names may go on after a sign."""
        after = _LIST.match(self._text, end)
        if after is not None and (after["joint"] or is_alone):
            self._say(self._left, after.end(), MEDIUM)

    def _reaches_back(
        self, name: tuple[int, int], before: tuple[int, int], run: tuple[int, int]
    ) -> bool:
        """Take note that a list may have begun before a name; return whether it may have."""
        is_first = name[0] == run[0] and self._text[before[1] : run[0]].strip() in _SIGNS
        if is_first:
            self._say(self._right, before[1], MEDIUM)
        return is_first

    @staticmethod
    def _say(gained: dict[int, float], place: int, gain: float) -> None:
        gained[place] = max(gain, gained.get(place, 0.0))

    def _read(self, start: int, end: int) -> list[tuple[int, int]]:
        """Return the names of the reading whose weights add up to the least."""
        text, known = self._text, self._words
        best = [0.0] * (end - start + 1)
        choice: list[tuple[int, int]] = [(0, 0)] * (end - start)
        for at in range(end - 1, start - 1, -1):
            place = at - start
            least, chosen = known.get(text[at], _UNKNOWN_CHARACTER) + best[place + 1], (1, 0)
            for length in range(2, min(LONGEST, end - at) + 1):
                weight = known.get(text[at : at + length])
                if weight is not None and weight + best[place + length] < least:
                    least, chosen = weight + best[place + length], (length, 0)
            for length, weight in self._names_at(at, start, end):
                if weight + best[place + length] < least:
                    least, chosen = weight + best[place + length], (length, 1)
            best[place], choice[place] = least, chosen
        return self._chosen(choice, start)

    @staticmethod
    def _chosen(choice: list[tuple[int, int]], start: int) -> list[tuple[int, int]]:
        found, place = [], 0
        while place < len(choice):
            length, is_name = choice[place]
            if is_name:
                found.append((start + place, start + place + length))
            place += length
        return found

    def _names_at(self, at: int, start: int, end: int) -> Iterator[tuple[int, float]]:
        """Yield the lengths of names that could begin at a place, and what they weigh."""
        for size in _LONG_SURNAMES if self._text[at] in self._long else _SURNAMES:
            surname = self._text[at : at + size]
            weight = self._parts.surnames.get(surname)
            if weight is None or at + size > end:
                continue
            left = self._left.get(at, 0.0)
            yield from self._alone(at, size, PRIOR + weight - left)
            for given in _SIZES if left >= MEDIUM else _USUAL_SIZES:
                last = at + size + given
                if last > end:
                    break
                if self._text[at:last] in _NOBODY or self._explains(at, last):
                    continue
                whole = PRIOR + weight + self._given(at + size, given)
                yield last - at, whole - self._said(at, last, start, end)
        yield from self._given_alone(at, end)
        yield from self._foreign(at, end)
        if at == start or self._text[at - 1] in _ASKED_FOR:
            yield from self._called_by_kin(at)

    def _explains(self, at: int, last: int) -> bool:
        """Return whether it says which character is meant, as 林海的林 does."""
        return self._text[last : last + 2] == f"的{self._text[at]}"

    def _is_said_often(self, at: int, last: int) -> bool:
        """Return whether a frequent word stands here, as in a field: 写的是金额."""
        return self._words.get(self._text[at:last], _RATHER_RARE) < _RATHER_RARE

    def _said(self, at: int, last: int, start: int, end: int) -> float:
        """Return what stands around a place says, and more where nothing else stands there."""
        left, right = self._left.get(at, 0.0), self._right.get(last, 0.0)
        if (at, last) == (start, end) and (left or right or not _LATIN.search(self._ahead(at))):
            return left + right + (MEDIUM if left >= STRONG else WEAK)
        if at == start and right >= _MUCH:
            return left + right + WEAK
        if left >= STRONG and last == end and not self._is_said_often(at, last):
            return left + right + _BOTH + WEAK
        if left >= MEDIUM and right >= _MUCH:
            return left + right + WEAK
        if left >= WEAK and (last == end or right >= _LITTLE):
            return left + right + _BOTH
        return left + right

    def _ahead(self, at: int) -> str:
        return self._text[max(0, at - 3) : at]

    def _given_alone(self, at: int, end: int) -> Iterator[tuple[int, float]]:
        """Yield a given name without a surname, where much around it says that it is one."""
        last = at + 2
        if last > end:
            return

        right = self._right.get(last, 0.0)
        said = self._left.get(at, 0.0) + right
        if said >= WEAK and not self._is_only_a_word(at, last):
            is_pet = self._text[at] in _PETS
            given = _PET + self._given(at + 1, 1) if is_pet else self._given(at, 2)
            is_twice = self._text[at] == self._text[at + 1]
            is_known = self._text[at:last] in self._usual
            is_usual = is_twice or is_known or given <= _USUAL
            if said >= MEDIUM or is_pet or is_usual:
                unusual = 0.0 if is_known else _UNUSUAL
                yield 2, PRIOR + given + _NO_SURNAME + unusual - said

    def _is_only_a_word(self, at: int, last: int) -> bool:
        """Return whether two characters are no given name by themselves."""
        name = self._text[at:last]
        if name in _NOBODY or _NO_NAME.search(name):
            return True
        if name[0] == name[1] or name[0] in _PETS or name in self._usual:
            return False
        return name in self._words and not _KIN.match(self._text, last)

    def _is_a_value(self, at: int, size: int) -> bool:
        """Return whether a surname is all that stands between two signs, as in 值班:齐、穆."""
        begins = at == 0 or self._text[at - 1] in ":、/"
        return begins and _VALUE.match(self._text, at + size) is not None

    def _foreign(self, at: int, end: int) -> Iterator[tuple[int, float]]:
        """Yield names in the characters that foreign names are written in."""
        if self._text[at] not in self._letters:
            return

        left = self._left.get(at, 0.0)
        for last in range(at + 1, min(end, at + _LONGEST_FOREIGN) + 1):
            if self._text[last - 1] not in self._letters:
                return
            said = left + self._right.get(last, 0.0)
            if last - at >= _SHORTEST_FOREIGN and said >= WEAK:
                yield last - at, _FOREIGN + _LETTER * (last - at) - said

    def _called_by_kin(self, at: int) -> Iterator[tuple[int, float]]:
        """Yield a single character of a given name, as in 晶姐."""
        if _SIBLING.match(self._text, at + 1):
            yield 1, PRIOR + self._given(at, 1) + _NO_SURNAME - STRONG

    def _given(self, at: int, size: int) -> float:
        parts = self._parts
        if self._text[at + size - 1] in _NEVER:
            return _UNKNOWN_CHARACTER
        last = parts.last.get(self._text[at + size - 1], _UNKNOWN_PART)
        if size == 1:
            return _ONE + last
        if size == 3:
            return _THREE + last + self._given(at, 2)

        both = parts.first.get(self._text[at], _UNKNOWN_PART) + last
        if self._text[at] == self._text[at + 1] or self._text[at : at + 2] in self._words:
            # Some are called by a word, such as 海洋, or by a character said twice.
            both = min(both, _A_WORD)
        if self._text[at : at + 2] in self._usual:
            both = min(both, _WELL_KNOWN)
        return _TWO + both

    def _alone(self, at: int, size: int, before: float) -> Iterator[tuple[int, float]]:
        """Yield a surname without a given name, where its neighbours allow it."""
        text = self._text
        ahead = self._ahead(at)
        if _ALONE.match(text, at + size):
            yield size, before + ALONE - self._right.get(at + size, 0.0)
        elif _FAMILY.search(ahead):
            yield size, before + ALONE - STRONG
        elif self._left.get(at, 0.0) >= MEDIUM and self._is_a_value(at, size):
            yield size, before + ALONE
        elif _NICKNAME.search(ahead) and self._left.get(at - 1, 0.0) >= MEDIUM:
            yield size, before + ALONE - STRONG
        elif _BOUNDARY.search(ahead) or (_NICKNAME.search(ahead) and self._left.get(at - 1, 0) > 0):
            yield size, before + ALONE - MEDIUM
