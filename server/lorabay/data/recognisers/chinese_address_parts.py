"""The parts of a Chinese address, as patterns: streets, estates, buildings, numbers of doors.

Each is the text of a pattern, so that parts can be put together. Knows nothing of what a whole
address is.
"""

from __future__ import annotations

NUMBER = (
    r"(?:[A-Za-z]?\d{1,5}(?:-\d{1,4})?|[甲乙丙丁东南西北]\d{1,4}|\d{1,4}[甲乙丙丁]|[一二三四五六七八九十百零〇]{1,5}|"
    r"[甲乙丙丁A-Za-z])"
)

STREET = (
    "大道|大街|马路|公路|路|街道|街|巷|胡同|弄|道|村|庄|屯|组|队|段|里|条|"
    "园区|开发区|新区|工业园|镇|乡"
)
"""Words for streets and villages that end their names."""

ESTATE = (
    "小区|花园|家园|公寓|大厦|广场|新村|公馆|山庄|商城|写字楼|办公楼|大楼|中心|科技园|产业园|创意园|"
    "工业园|园区|校区|社区|"
    "国际|大学|学院|中学|小学|医院|酒店|宾馆|超市|驿站|软件园|基地|宿舍|家属院|苑|园|府|湾|城|庭|居|里|轩|院|村|区|期|坊|邸|阁|座|馆|厂"
)
"""Words for estates and buildings that end their names."""

BUILDING = "号院|号楼|号|栋|幢|座|弄|单元|塔|层|楼|室|房|户|区|期|梯|门|铺|档|院|排|组|队|仓库|号仓"
"""Words after a number within an estate or a building."""

WAY = "大道|大街|马路|公路|路|街|巷|胡同|道"
"""Words for ways that can be crossed."""

SIDE = "[东南西北中]"

DIGIT = "[一二三四五六七八九十]"
