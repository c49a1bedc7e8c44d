"""Who gets the canary: the same client always, and nobody leaves while the share grows."""

from __future__ import annotations

from hypothesis import given, strategies as st

from lorabay.rollout.assignment import By, Client, identity, place

LINE = "finance@" + "a" * 64
OTHER = "finance@" + "b" * 64
TEXTS = st.text(max_size=40)


@given(TEXTS, TEXTS)
def test_a_place_is_from_0_to_below_1_and_stays(line: str, who: str) -> None:
    """Whatever text names a client, half of a surrogate pair included."""
    assert 0 <= place(line, who) < 1
    assert place(line, who) == place(line, who)


def test_a_place_is_the_same_in_every_process_and_release() -> None:
    """A restart, or another server beside this one, sends nobody elsewhere."""
    assert place(LINE, "user\0acme\0u1") == 0.9916813440460964


def test_places_are_even() -> None:
    """Of many clients, every tenth of the line has a tenth."""
    counts = [0] * 10
    for number in range(20_000):
        counts[int(place(LINE, f"user\0acme\0u{number}") * 10)] += 1
    assert all(1_850 < count < 2_150 for count in counts)


def test_another_canary_begins_with_others() -> None:
    """Of the first tenth for one canary, a tenth is in the first tenth for another."""
    first = [who for who in map(str, range(20_000)) if place(LINE, who) < 0.1]
    again = [who for who in first if place(OTHER, who) < 0.1]
    assert 0.07 < len(again) / len(first) < 0.13


def test_what_a_client_is_known_by() -> None:
    """The session, else the user, else the key, as far as the rollout looks at them."""
    full = Client("key1", "acme", user="u1", session="s1")
    assert identity(full, By.SESSION) == identity(Client("key2", "acme", session="s1"), By.SESSION)
    assert identity(full, By.USER) == identity(Client("key2", "acme", user="u1"), By.SESSION)
    assert identity(full, By.KEY) == identity(Client("key1", "acme"), By.USER)
    assert len({identity(full, by) for by in By}) == 3


def test_users_of_two_tenants_are_two() -> None:
    """A user called `1` of one tenant is nobody of another's."""
    one, other = (Client("key", tenant, user="1") for tenant in ("acme", "bay"))
    assert identity(one, By.USER) != identity(other, By.USER)
