"""Chinese addresses."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.chinese_addresses import find
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (
            "寄到浙江省杭州市西湖区文三路478号华星时代广场A座1103室，谢谢",
            ["浙江省杭州市西湖区文三路478号华星时代广场A座1103室"],
        ),
        ("麻烦送到人民路８８号３栋２单元５０１室就行", ["人民路８８号３栋２单元５０１室"]),
        ("我家在朝阳区望京西园四区418号楼", ["朝阳区望京西园四区418号楼"]),
        ("地址是幸福里小区6号楼1单元1202，不是12号楼", ["幸福里小区6号楼1单元1202"]),
        ("北京市和上海市的运费一样吗", []),
        ("房间在三号楼二层，麻烦加床", []),
        ("人民路店几点关门", []),
        ("地铁2号线停运", []),
    ],
)
def test_an_address_is_found_as_a_whole(text: str, pieces: list[str]) -> None:
    """A city or a shop is none."""
    assert found(find, text) == pieces
