"""Sentences with planted personal data of every kind, and how much of it is found.

    python -m tests.data.deidentify.planted [--count 2000]

plants so many of each kind in Chinese and in English, written plainly, in full width, with spaces
and glued to the words around it, and 500 harmless numbers. It prints recall and precision by kind
and language, how many of the harmless numbers are changed, and rows a second. Values are made here
and by python-stdnum and faker, from which the lists of names are, too: tests.data.deidentify.hard
says more about names.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from faker import Faker
from stdnum import luhn, numdb
from stdnum.cn import ric, uscc

from lorabay.data.deidentify.deidentifier import Deidentifier
from lorabay.data.deidentify.keys import Key
from lorabay.data.deidentify.replacing import surrogates
from lorabay.data.example import Example
from lorabay.data.reasons import Kept
from lorabay.data.recognisers.finder import Finder
from lorabay.data.recognisers.table import RECOGNISERS
from tests.data.deidentify.hard import Tally, is_covered, is_right

FORMS = ("plain", "full width", "spaced", "glued")
HARMLESS = 500

ZH = {
    "NAME": (
        "{}昨天来过电话，说包裹破了。",
        "麻烦转给{}，谢谢。",
        "收货人{}，电话稍后补。",
        "我叫{}，想咨询一下保修。",
        "请问{}在不在？",
        "{}先生要求改期。",
        "是{}帮我办的会员。",
        "姓名：{}",
        "联系人是{}，下午在家。",
        "业主{}反映楼上漏水。",
        "我老婆{}的医保卡丢了。",
        "{}女士您好，退款已经受理。",
        "已经跟{}核实过了。",
        "签收人：{}，不是本人。",
    ),
    "ADDRESS": (
        "收货地址：{}",
        "寄到{}就行。",
        "我住在{}，晚上在家。",
        "麻烦送到{}，放门口。",
        "新地址是{}，请更新。",
        "上门地址{}，周六上午。",
    ),
    "PHONE": ("手机号是{}谢谢", "打{}找我", "联系电话：{}，全天", "{}是我的号码"),
    "EMAIL": ("邮箱{}，发票发这里", "请发到{}谢谢", "我的邮箱是{}"),
    "IDENTITY_CARD": ("身份证{}麻烦核实", "证件号码是{}对吗", "{}这个号绑定过了吗"),
    "PASSPORT": ("护照号{}明年到期", "护照{}，改签用"),
    "BANK_CARD": ("卡号{}扣了两次", "银行卡{}被冻结了", "退到{}这张卡"),
    "LICENCE_PLATE": ("车牌{}停在地库", "{}这辆车充不上电", "我的车是{}"),
    "COMPANY_CODE": ("税号{}开专票", "统一社会信用代码{}，抬头稍后"),
    "IP_ADDRESS": ("从{}登录的不是我", "服务器{}连不上"),
    "URL_TOKEN": ("链接https://a.example.cn/r?token={}打不开", "https://a.cn/v?id=3&sig={}过期了"),
    "BIRTH_DATE": ("出生日期{}写错了", "我的生日是{}", "出生于{}"),
}
EN = {
    "NAME": (
        "My name is {} and the parcel is torn.",
        "Please ask {} to call me back.",
        "{} promised me a refund last week.",
        "Dear {}, your order has shipped.",
        "The account belongs to {}.",
        "I spoke to {} about the meter.",
        "Recipient: {}",
        "My wife {} placed the order.",
        "This is {}, I called on Monday.",
        "Kind regards, {}",
        "It was signed for by {}.",
        "Can you transfer it to {} in accounts?",
    ),
    "ADDRESS": (
        "Ship it to {}.",
        "My new address is {}",
        "I live at {}, please update it.",
        "Delivery address: {}",
        "The engineer went to {} by mistake.",
    ),
    "PHONE": ("Call me on {} please", "my cell is {}", "Phone: {}", "you can text {} anytime"),
    "EMAIL": ("write to {} please", "my email is {}", "Email: {}"),
    "IDENTITY_CARD": ("Chinese ID {} on the form", "my ID is {}"),
    "PASSPORT": ("passport number {} expires soon", "Passport no. {}"),
    "BANK_CARD": ("my card {} was charged twice", "Visa {} was declined", "card number: {}"),
    "LICENCE_PLATE": ("my licence plate is {}", "plate {} is parked outside"),
    "COMPANY_CODE": ("our company code is {}", "credit code {} for the invoice"),
    "IP_ADDRESS": ("a login from {} was not me", "the server {} is down"),
    "URL_TOKEN": (
        "https://a.example.com/reset?token={} has expired",
        "open https://a.com/d?sig={}",
    ),
    "BIRTH_DATE": ("my date of birth is {}", "DOB {}", "I was born on {}"),
}
HARMLESS_ZH = (
    "订单号{order}一直没发货",
    "快递单号{parcel}三天没动",
    "工单{ticket}请尽快处理",
    "价格{price}元，便宜了{price}元",
    "活动到{date}结束",
    "型号{model}有货吗",
    "版本{version}闪退",
    "验证码{code}收不到",
    "在{private}里改密码",
    "流水号{order}查不到",
)
HARMLESS_EN = (
    "Order {order} is late",
    "Tracking {parcel} has not moved",
    "Ticket #{ticket} was closed",
    "The price is ${price} now",
    "The sale ends on {date}",
    "Model {model} is sold out",
    "Version {version} crashes",
    "Code {code} does not work",
    "Set the DNS to {private}",
    "Invoice number {order} is wrong",
)


class Maker:
    """Makes values."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self._chinese, self._english = Faker("zh_CN"), Faker("en_US")
        self._others = [Faker(one) for one in ("en_GB", "en_IN", "de_DE", "fr_FR", "es_ES")]
        for one in (self._chinese, self._english, *self._others):
            one.seed_instance(seed)
        places = numdb.get("cn/loc")
        self._counties = [
            (code, [facts for _, facts in places.info(code)])
            for code in (
                f"{first}{rest:04}" for first in (11, 33, 44, 51) for rest in range(101, 1500)
            )
        ]
        self._counties = [
            (code, facts)
            for code, facts in self._counties
            if any("county" in one and not one["county"].startswith("[") for one in facts)
        ]

    def digits(self, count: int) -> str:
        """Return random digits."""
        return "".join(self.dice.choices("0123456789", k=count))

    def value(self, kind: str, language: str) -> str:
        """Return a value of a kind."""
        make: Callable[[str], str] = getattr(self, f"_{kind.lower()}")
        return make(language)

    def _name(self, language: str) -> str:
        if language == "zh":
            return str(self._chinese.name())
        source = self.dice.choice([self._english, self._english, *self._others])
        return f"{source.first_name()} {source.last_name()}"

    def _address(self, language: str) -> str:
        if language == "en":
            english = self._english
            return (
                str(english.address()).replace("\n", ", ")
                if self.dice.random() < 0.7
                else str(english.street_address())
            )
        _, facts = self.dice.choice(self._counties)
        known = {name: text for one in facts for name, text in one.items()}
        county = known["county"].split(",")[0].rpartition("]")[2]
        province = known.get("province", "") if self.dice.random() < 0.6 else ""
        city = known.get("prefecture", "") if self.dice.random() < 0.6 else ""
        street = "".join(self.dice.choices("文新东安和平长春金玉龙凤江海山河星月天桥华民康宁", k=2))
        way = self.dice.choice(["路", "街", "大道", "东路", "巷"])
        door = f"{self.dice.randrange(1, 900)}号"
        rest = self.dice.choice(
            [
                "",
                f"{self.dice.randrange(1, 30)}栋{self.digits(3)}室",
                "阳光花园3幢2单元501",
                "A座1203",
            ]
        )
        return f"{province}{city}{county}{street}{way}{door}{rest}"

    def _phone(self, language: str) -> str:
        if language == "zh":
            mobile = f"1{self.dice.choice('356789')}{self.digits(9)}"
            landline = f"0{self.dice.choice(['10', '21', '571', '755'])}-{self.dice.choice('2678')}"
            return self.dice.choice([mobile, mobile, mobile, f"{landline}{self.digits(7)}"])
        number = f"{self.dice.choice(['212', '415', '650', '303'])}-{self.dice.choice('2345')}53-"
        return self.dice.choice(
            [
                f"{number}{self.digits(4)}",
                f"+1 {number}{self.digits(4)}",
                f"+44 7911 {self.digits(6)}",
                f"+86 138 {self.digits(4)} {self.digits(4)}",
                f"+49 30 {self.dice.randrange(200, 900)}{self.digits(5)}",
            ]
        )

    def _email(self, _: str) -> str:
        return f"{self._english.user_name()}@{self._english.free_email_domain()}"

    def _identity_card(self, _: str) -> str:
        code, _facts = self.dice.choice(self._counties)
        born = f"{self.dice.randrange(1955, 2008)}{self.dice.randrange(1, 13):02}"
        number = f"{code}{born}{self.dice.randrange(1, 29):02}{self.digits(3)}"
        return number + str(ric.calc_check_digit(f"{number}0"))

    def _passport(self, _: str) -> str:
        return f"{self.dice.choice('EGD')}{self.digits(8)}"

    def _bank_card(self, _: str) -> str:
        body = self.dice.choice(["62220212", "62284804", "41111111", "52700012"])
        body += self.digits(10 if body.startswith("62") else 7)
        return body + str(luhn.calc_check_digit(body))

    def _licence_plate(self, _: str) -> str:
        head = self.dice.choice("京沪粤浙川苏鲁") + self.dice.choice("ABCDEF")
        rest = self.dice.choice(["D", ""]) + self.dice.choice("ABCDEFGHJK") + self.digits(4)
        return head + rest

    def _company_code(self, _: str) -> str:
        body = f"91{self.dice.choice(self._counties)[0]}{self.digits(8)}"
        body += self.dice.choice("0123456789XABC")
        return body + uscc.calc_check_digit(body)

    def _ip_address(self, _: str) -> str:
        return str(self._english.ipv4_public())

    def _url_token(self, _: str) -> str:
        return "".join(self.dice.choices("abcdefghijkmnpqrstuvwxyz0123456789", k=20))

    def _birth_date(self, language: str) -> str:
        year, month, day = self.dice.randrange(1950, 2010), self.dice.randrange(1, 13), 17
        forms = (
            [f"{year}年{month}月{day}日", f"{year}-{month:02}-{day}", f"{year}/{month}/{day}"]
            if language == "zh"
            else [f"{month:02}/{day}/{year}", f"{year}-{month:02}-{day}", f"{day} May {year}"]
        )
        return self.dice.choice(forms)

    def harmless(self, template: str) -> str:
        """Return a sentence with numbers that stay."""
        return template.format(
            order=f"2026{self.digits(self.dice.choice([12, 15]))}",
            parcel=self.dice.choice(
                [f"SF{self.digits(13)}", f"YT{self.digits(13)}", self.digits(12)]
            ),
            ticket=f"1{self.digits(10)}",
            price=f"{self.dice.randrange(10, 9000)}.{self.digits(2)}",
            date=f"2026-{self.dice.randrange(1, 13):02}-{self.dice.randrange(1, 29):02}",
            model=f"KFR-{self.digits(2)}GW/{self.digits(3)}",
            version=f"{self.dice.randrange(1, 99)}.{self.dice.randrange(99)}.{self.digits(3)}.1",
            code=self.digits(6),
            private=f"192.168.{self.dice.randrange(255)}.{self.dice.randrange(255)}",
        )


SPACED = {"PHONE", "IDENTITY_CARD", "BANK_CARD", "COMPANY_CODE"}
WIDE = SPACED | {"PASSPORT", "LICENCE_PLATE", "EMAIL", "IP_ADDRESS", "BIRTH_DATE", "ADDRESS"}
_FULL_WIDTH = {code: code + 0xFEE0 for code in range(ord("!"), ord("~") + 1)}


def written(value: str, kind: str, form: str) -> str:
    """Return a value in a form, where its kind is written so."""
    if form == "full width" and kind in WIDE:
        return value.translate(_FULL_WIDTH)
    if form == "spaced" and kind in SPACED and value.isalnum():
        return " ".join(value[at : at + 4] for at in range(0, len(value), 4))
    return value


@dataclass(frozen=True)
class Planted:
    """A sentence with one value in it."""

    text: str
    kind: str
    start: int
    end: int


def planted(kind: str, language: str, count: int, maker: Maker | None = None) -> Iterator[Planted]:
    """Yield so many sentences of a kind."""
    maker = maker or Maker(11)
    templates = (ZH if language == "zh" else EN)[kind]
    for number in range(count):
        form = FORMS[number % len(FORMS)]
        value = written(maker.value(kind, language), kind, form)
        head, _, tail = maker.dice.choice(templates).partition("{}")
        if form != "glued" and language == "zh" and kind in SPACED:
            head, tail = f"{head} ", f" {tail}"
        yield Planted(head + value + tail, kind, len(head), len(head) + len(value))


def measured(finder: Finder, kind: str, language: str, count: int) -> Tally:
    """Return how many are found, and how many findings are what was planted."""
    tally = Tally()
    for one in planted(kind, language, count):
        findings = finder.find([one.text])[0]
        span = (one.kind, one.start, one.end)
        tally.there += 1
        tally.found += is_covered(span, findings)
        tally.findings += len(findings)
        tally.right += sum(is_right(finding, [span]) for finding in findings)
    return tally


def changed_harmless(step: Deidentifier, count: int = HARMLESS) -> int:
    """Return how many sentences with harmless numbers are changed."""
    maker = Maker(5)
    changed = 0
    for number in range(count):
        templates = (HARMLESS_ZH, HARMLESS_EN)[number % 2]
        example = Example(maker.harmless(templates[number // 2 % len(templates)]), "OK")
        outcome = step.apply(example)
        changed += not (isinstance(outcome, Kept) and outcome.example == example)
    return changed


def main() -> None:
    """Print the matrix, the harmless numbers, and the speed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=2000)
    count = parser.parse_args().count

    finder = Finder(RECOGNISERS)
    sys.stdout.write(
        "| kind | zh recall | zh precision | en recall | en precision |\n|---|---|---|---|---|\n"
    )
    for kind in ZH:
        cells = []
        for language in ("zh", "en"):
            tally = measured(finder, kind, language, count)
            cells += [
                f"{tally.found / tally.there:.4f}",
                f"{tally.right / max(1, tally.findings):.4f}",
            ]
        sys.stdout.write(f"| {kind} | {' | '.join(cells)} |\n")
        sys.stdout.flush()

    step = Deidentifier(finder, surrogates(Key(b"0123456789abcdef")))
    sys.stdout.write(f"harmless numbers changed: {changed_harmless(step)} of {HARMLESS}\n")
    maker = Maker(3)
    rows = [_row(number, maker) for number in range(count)]
    started = time.process_time()
    for row in rows:
        step.apply(row)
    seconds = time.process_time() - started
    sys.stdout.write(f"rows a second of a processor: {len(rows) / seconds:.0f}\n")
    step.counts.check()


def _row(number: int, maker: Maker) -> Example:
    """Return a conversation of about 400 characters."""
    language, kinds = ("zh", "en")[number % 2], list(ZH)
    texts = []
    for place in range(8):
        kind = kinds[(number + place) % len(kinds)]
        texts.append(next(planted(kind, language, 1, maker)).text if place % 4 == 0 else "")
    filler = (
        "您好，请您稍等，我这边马上为您查询一下，感谢您的耐心等待，查询到以后会第一时间回复您。"
        if language == "zh"
        else "Thank you for waiting, I am looking into this now and will come back to you shortly. "
    )
    return Example(texts[0] + filler, filler * 3, "", ((texts[4], filler),))


if __name__ == "__main__":
    main()
