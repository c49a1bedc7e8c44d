"""Words before and after a Chinese name that say that it is one, and how much they say.

A gain is taken off the weight of reading characters as a name. Knows nothing of names themselves.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

STRONG, MEDIUM, WEAK = 9.0, 5.0, 2.5

AGAINST = -5.0
"""What stands against a name: before it is a word that something is counted by, as in 这张."""

TITLES = (
    "先生|女士|小姐|太太|夫人|老师|师傅|经理|总监|总经理|医生|大夫|护士|律师|教授|博士|主任|主管|院长|"
    "校长|局长|科长|处长|部长|警官|队长|站长|店长|馆长|行长|厂长|社长|班长|组长|工程师|会计|阿姨|叔叔|"
    "大爷|大妈|大姐|大哥|奶奶|爷爷|同学|同志|老板|法官|教练|书记|姑娘|女儿|伯伯|总(?![是有共会的额计价结之能算要得])|"
    "[姐哥姨叔婶嫂](?![妹弟们夫])|工(?![作程单资人具商厂业])|导(?![航致购入出])|"
    "(?:副|老)(?:总|师)"
)
"""What is put after a surname."""

_LABELS = (
    "姓名|名字|用户名|登记人|登记的|写的|填的|全名|真名|中文名|收件人|收货人|收件|联系人|寄件人|发件人|发货人|签收人|代收人|取件人|持卡人|"
    "开户人|户名|户主|账户名|申请人|投保人|被保险人|被保人|受益人|报修人|预约人|预订人|订票人|入住人|"
    "法人|法人代表|法定代表人|负责人|经办人|代办人|委托人|推荐人|代领人|紧急联系人|监护人|"
    "车主|业主|房东|租客|乘车人|乘客|旅客|申诉人|投诉人|举报人|当事人|患者|病人|就诊人|考生|学生|家长|"
    "配偶|抬头|称呼|收款人|付款人|开票人|下单人|购买人|使用人|机主|号主|署名|落款|经手人|申报人|纳税人"
)
_SPOKEN = (
    "我叫|名叫|叫做|他叫|她叫|叫我|本人叫|人叫|公叫|婆叫|子叫|儿叫|妈叫|爸叫|弟叫|妹叫|姐叫|哥叫|友叫|事叫|"
    "自称|尊敬的|亲爱的|免贵姓|我姓|他姓|她姓|贵姓"
)
_ROLES = (
    "我是|你是|您是|他是|她是|这是|本人|我妈|我爸|我妈妈|我爸爸|妈妈|爸爸|母亲|父亲|老公|老婆|丈夫|妻子|"
    "爱人|儿子|女儿|孩子|哥哥|姐姐|弟弟|妹妹|爷爷|奶奶|外公|外婆|婆婆|公公|岳父|岳母|舅舅|姑姑|"
    "同事|员工|朋友|室友|邻居|领导|客户|顾客|用户|会员|买家|卖家|医生|护士|司机|师傅|快递员|骑手|外卖员|"
    "客服|顾问|经理|技术员|工程师|销售|老师|律师|主任|店员|护理员|跟单员|保安|保姆|家政|业务员|理财师|"
    "教练|警官|同学|班主任|前台|房客|助理|秘书|会计|管家|专员|坐席|司机师傅|感谢|请问|您好|你好|"
    "经查|经核实|经核查|经查询|核实|写的是|名字是|号是|人是|主是|名是|是由|转交|转给|交给|发给|寄给|转告|核实"
)
_VERBS = "给|找|由|让|请|跟|和|与|替|被|问|叫|联系|联络|问下|找下|帮|向|对|等|@|是"
_JOIN = r"(?:写的|填的|是|为|叫|填|写|:|\s|改成|改为|换成|换为|一栏|就是|一下){0,3}"

LEFT: tuple[tuple[re.Pattern[str], float], ...] = (
    (re.compile(rf"(?:{_LABELS}){_JOIN}[\[(\"“【]?"), STRONG),
    (re.compile(rf"(?:{_SPOKEN})\s?[:\"“]?"), STRONG),
    (re.compile(rf"(?:{_ROLES})[,: \[(\"“【]{{0,2}}"), MEDIUM),
    (re.compile(rf"(?:{_VERBS})\s?"), WEAK),
    (re.compile(r"[@【]"), STRONG),
    (re.compile(r"[这那一二两三四五六七八九十几每哪某半整]"), AGAINST),
    (re.compile(r"(?<!\d)1[3-9]\d{9}[,， ]*"), MEDIUM),
)

_SAYS = (
    "说|称|表示|反映|反馈|回复|告诉|答应|承诺|来电|投诉|要求|离职|签收|代收|代领|在吗|在不在|在么|本人|"
    "接的|处理的|办理的|办的|负责|经手|帮我|帮忙|给我|让我|叫我|跟我|打来|打的|下的|买的|态度|名下|的名|"
    "的订单|的手机|的电话|的账|的帐|的卡|的号|的快递|的社保|的身份|的地址|的包裹|的工单|的名字|的保单|"
    "为我|替我|的医保|的户|的会员|的课|的车|的票|的退款|要发票|要钱|要货|的贷款|的单|同学|准考证|尽快|已|于(?:昨|今|前|上|\\d)|收|"
    "你好|您好|您的|你的|没有|打针|申请|取消|预约|登录|今年|昨天|今天|前天|明天|上周|刚才|刚刚|来过|核实|不肯|不在|不接"
)
RIGHT: tuple[tuple[re.Pattern[str], float], ...] = (
    (re.compile(rf"(?=\s?(?:{TITLES}))"), STRONG),
    (re.compile(r"(?=\s?\((?:男|女|先生|女士|本人|\d))"), STRONG),
    (re.compile(r"(?=[,;、 ]{1,3}(?:电话|手机|联系电话|tel|\+?(?:86)?1[3-9]))"), STRONG),
    (re.compile(rf"(?=(?:{_SAYS}))"), MEDIUM - 1),
    (re.compile(r"(?=[和与跟及]|在|是|的)"), 0.5),
)

NAME_ASKED = re.compile(
    r"(?:姓名|名字|贵姓|尊姓|怎么称呼|如何称呼|怎样称呼|叫什么|哪位|什么名|谁的名|收件人|收货人|联系人是|户名)"
)
"""What a turn says that asks for a name."""

SINGLE_BEFORE = re.compile(r"(?:姓|[叫的是]小|^小|[,。!? ]小|^老|[,。!? ]老|[叫的是]老)$")


def gains(
    text: str, cues: tuple[tuple[re.Pattern[str], float], ...], *, left: bool
) -> Mapping[int, float]:
    """Return the gain at each place: the largest of the cues that end there, or begin there."""
    found: dict[int, float] = {}
    for pattern, gain in cues:
        for match in pattern.finditer(text):
            place = match.end() if left else match.start()
            found[place] = max(gain, found.get(place, gain))
    return found
