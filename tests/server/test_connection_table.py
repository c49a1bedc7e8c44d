"""Who is taken in, and who has to go."""

from __future__ import annotations

from lorabay.server.connection_table import ConnectionTable


class Client:
    has_left = False

    def give_way(self) -> None:
        self.has_left = True


def test_everybody_is_taken_in_up_to_the_limit() -> None:
    """Nobody has to go while there is room, and a connection that ended makes room."""
    table, clients = ConnectionTable(2), [Client() for _ in range(3)]
    assert [table.admit(client) for client in clients[:2]] == [True, True]
    table.remove(clients[0])
    table.remove(clients[0])
    assert table.admit(clients[2])
    assert len(table) == 2
    assert not any(client.has_left for client in clients)


def test_the_one_that_has_waited_longest_gives_way() -> None:
    """Waiting counts from the last answer, not from the beginning of the connection."""
    table, (first, second, third, fourth) = ConnectionTable(2), [Client() for _ in range(4)]
    table.admit(first)
    table.admit(second)
    table.is_busy(first)
    table.is_waiting(first)
    assert table.admit(third)
    assert (first.has_left, second.has_left) == (False, True)
    assert table.admit(fourth)
    assert (first.has_left, third.has_left) == (True, False)
    assert len(table) == 2


def test_nobody_whose_request_is_answered_gives_way() -> None:
    """With every place busy a new client is not taken in, and is no part of the table."""
    table, (first, second, late) = ConnectionTable(2), [Client() for _ in range(3)]
    for client in (first, second):
        table.admit(client)
        table.is_busy(client)
    assert not table.admit(late)
    assert not first.has_left
    assert not second.has_left
    table.is_busy(late)
    table.is_waiting(late)
    assert len(table) == 2
