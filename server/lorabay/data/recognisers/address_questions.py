"""What a turn says that asks for an address, so that the next turn may be one."""

from __future__ import annotations

import re

WHERE_ASKED = re.compile(
    r"地址.{0,12}(?:[?？]|发|提供|报|是)|(?:提供|报|说|发|给)(?:一下)?.{0,8}地址|送(?:到)?哪|寄(?:到)?哪|"
    r"哪里收货|住(?:在)?哪|几单元|几号楼|几栋|楼号|楼栋|哪栋|哪条[路街]|省市|现在的?位置|门牌|哪个小区|"
    r"(?i:(?:what|which|your|the|confirm|provide|have|get|and)[^.?!]{0,30}"
    r"(?:address|zip|post ?code|postal code|street)[^.!]{0,20}(?:[?]|please|$)|"
    r"(?:zip|post ?code|postal code|flat|house number|city(?: and state)?|state|town|road|building)"
    r"[^.!?]{0,20}[?]|"
    r"where (?:should|do|can|shall|are|to|would)[^.!]{0,40}\?)"
)
