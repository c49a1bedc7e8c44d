"""Names of regions."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.regions import regions


@pytest.mark.parametrize("name", ["浙江省", "浙江", "杭州市", "西湖区", "太康县", "内蒙古自治区"])
def test_a_region_is_known(name: str) -> None:
    """The longest name is taken."""
    match = regions().match(f"{name}文三路")
    assert match is not None
    assert match[0] == name
