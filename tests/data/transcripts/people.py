"""People who do not exist: names, numbers with right check digits, addresses."""

from __future__ import annotations

import random
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from stdnum import luhn
from stdnum.cn import ric, uscc

SCRIPTS = Path(__file__).parent / "scripts"

_COUNTIES = ("110105", "330106", "440305", "510107", "320106", "420111", "310115", "370202")
_ISSUERS = ("62220212", "62284804", "41111111", "52700012")
_NETWORKS = ("135", "136", "138", "139", "150", "158", "177", "186", "188", "199")
_LETTERS = "abcdefghijkmnpqrstuvwxyz0123456789"


@cache
def _parts() -> dict[str, Any]:
    return tomllib.loads((SCRIPTS / "people.toml").read_text(encoding="utf-8"))


class People:
    """Draws values of each kind in a language; each call is another person."""

    def __init__(self, language: str, dice: random.Random) -> None:
        self._language = language
        self._dice = dice
        self._lists = _parts()[language]

    def value(self, kind: str) -> str:
        """Return a value of a kind of personal data."""
        made: str = getattr(self, kind.lower())()
        return made

    def name(self) -> str:
        """A family name and a given one, in the order of the language."""
        if self._language == "zh":
            return self._one_of("surnames") + self._one_of("given")
        return f"{self._one_of('first')} {self._one_of('last')}"

    def address(self) -> str:
        """From the province, or from the door, as one line."""
        place = self._dice.choice(self._lists["places" if self._language == "zh" else "cities"])
        number = self._dice.randrange(1, 900)
        if self._language == "en":
            street = self._dice.choice(self._lists["streets"])
            flat = self._dice.choice(["", f", Apt {self._dice.randrange(1, 60)}"])
            return f"{number} {street}{flat}, {place}"

        door = self._dice.choice(self._lists["doors"]).format(
            n=number,
            b=self._dice.randrange(1, 30),
            u=self._dice.randrange(1, 5),
            r=self._dice.randrange(101, 2500),
        )
        return "".join(place.split(" ")) + self._one_of("streets") + door

    def phone(self) -> str:
        """A mobile or a landline of the country, or one from abroad."""
        dice = self._dice
        if self._language == "zh":
            mobile = f"{dice.choice(_NETWORKS)}{self.digits(8)}"
            spaced = f"{mobile[:3]} {mobile[3:7]} {mobile[7:]}"
            landline = f"0{dice.choice(['10', '21', '571', '755'])}-{dice.choice('68')}"
            return dice.choice([mobile, mobile, mobile, spaced, f"{landline}{self.digits(7)}"])
        area = f"{dice.choice(['212', '415', '650', '303'])}-{dice.choice('2345')}53-"
        return dice.choice(
            [
                f"{area}{self.digits(4)}",
                f"+1 {area}{self.digits(4)}",
                f"+44 7911 {self.digits(6)}",
                f"+86 138 {self.digits(4)} {self.digits(4)}",
            ]
        )

    def email(self) -> str:
        """A mailbox at a public provider."""
        english = _parts()["en"]
        head = f"{self._dice.choice(english['last'].split()).lower()}{self.digits(3)}"
        domains = ["qq.com", "163.com"] if self._language == "zh" else english["mail"]
        return f"{head}@{self._dice.choice(domains)}"

    def identity_card(self) -> str:
        """Eighteen characters with the right check character."""
        born = f"{self._dice.randrange(1955, 2006)}{self._dice.randrange(1, 13):02}"
        body = f"{self._dice.choice(_COUNTIES)}{born}{self._dice.randrange(1, 29):02}"
        body += self.digits(3)
        return body + str(ric.calc_check_digit(f"{body}0"))

    def bank_card(self) -> str:
        """A number that passes Luhn's check."""
        body = self._dice.choice(_ISSUERS)
        body += self.digits(10 if body.startswith("62") else 7)
        number = body + str(luhn.calc_check_digit(body))
        in_fours = " ".join(number[at : at + 4] for at in range(0, len(number), 4))
        return self._dice.choice([number, in_fours])

    def company_code(self) -> str:
        """Eighteen characters with the right check character."""
        body = f"91{self._dice.choice(_COUNTIES)}{self.digits(9)}"
        return body + str(uscc.calc_check_digit(body))

    def passport(self) -> str:
        """A Chinese one."""
        return f"E{self.digits(8)}"

    def licence_plate(self) -> str:
        """A Chinese one, of five characters or, for electric cars, of six."""
        head = self._dice.choice("京沪粤浙川苏鲁") + self._dice.choice("ABCDEF")
        return f"{head}{self._dice.choice(['D', ''])}{self._dice.choice('ABCDEFG')}{self.digits(4)}"

    def ip_address(self) -> str:
        """A public one."""
        first = self._dice.choice(["36", "58", "81", "113", "203"])
        return ".".join([first, *(str(self._dice.randrange(1, 250)) for _ in range(3))])

    def url_token(self) -> str:
        """The secret part of a link."""
        return "".join(self._dice.choices(_LETTERS, k=20))

    def birth_date(self) -> str:
        """A day, as the language writes it."""
        year, month = self._dice.randrange(1950, 2006), self._dice.randrange(1, 13)
        day = self._dice.randrange(1, 29)
        if self._language == "zh":
            return self._dice.choice([f"{year}年{month}月{day}日", f"{year}-{month:02}-{day:02}"])
        return self._dice.choice([f"{month:02}/{day:02}/{year}", f"{year}-{month:02}-{day:02}"])

    def digits(self, count: int) -> str:
        """Return random digits."""
        return "".join(self._dice.choices("0123456789", k=count))

    def _one_of(self, name: str) -> str:
        found: str = self._dice.choice(self._lists[name].split())
        return found
