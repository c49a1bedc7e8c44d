"""A load is under way while its block runs, and an unload of its name overtakes it."""

from __future__ import annotations

import pytest

from lorabay.catalog.names import AdapterName
from lorabay.errors import AdapterConflict
from lorabay.reconcile.admin_loads import AdminLoads

FINANCE, SHOP = AdapterName("finance"), AdapterName("shop")


def test_a_name_is_being_loaded_while_any_load_of_it_runs() -> None:
    """Two admins may load the same name; one that fails leaves the other."""
    loads = AdminLoads()
    with loads.begin(FINANCE):
        with pytest.raises(RuntimeError), loads.begin(FINANCE):
            raise RuntimeError
        assert loads.names == {FINANCE}
    assert loads.names == frozenset()


def test_an_unload_overtakes_the_loads_of_its_name() -> None:
    """Loads of other names, and later ones, go on."""
    loads = AdminLoads()
    with loads.begin(FINANCE) as load, loads.begin(SHOP) as other:
        loads.overtake(FINANCE)
        assert (load.is_wanted(), other.is_wanted()) == (False, True)
        with pytest.raises(AdapterConflict, match="unloaded meanwhile"):
            load.check()
        other.check()
    with loads.begin(FINANCE) as later:
        later.check()
