"""The site as a process: links, resuming, and what does not allow it."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest

from lorabay.errors import SetupError
from lorabay.judging.blind_set import VOTES_FOLDER, read_blind_set
from lorabay.judging.site.server import links, serve_blind_set
from lorabay.judging.votes import Choice, VoteBook
from tests.judging.answered import blind_folder
from tests.judging.site.running import Running


def test_a_judge_goes_on_after_a_restart(tmp_path: Path) -> None:
    """Ctrl+C is how it ends, with 0; the same link then leads to where the judge stopped."""
    folder = blind_folder(tmp_path / "blind", 3)
    with Running(folder) as running:
        root, _, token = running.links["anna"].partition("#")
        key = {"Authorization": f"Bearer {token}"}
        vote = {"place": 0, "choice": "right"}
        assert httpx.post(f"{root}votes", headers=key, json=vote).json()["done"] == 1
        assert running.stop() == 0

    with Running(folder) as running:
        assert running.lines[0].startswith("anna (1 of 3): http://127.0.0.1:")
        root, _, same = running.links["anna"].partition("#")
        assert same == token
        assert httpx.get(f"{root}state", headers=key).json()["showing"]["place"] == 1
        assert running.stop() == 0


def test_links_begin_as_judges_reach_the_page(tmp_path: Path) -> None:
    """Behind a proxy that is another address than the server's own."""
    folder = blind_folder(tmp_path / "blind", 3)
    blind_set, book = read_blind_set(folder), VoteBook(folder / VOTES_FOLDER)
    book.cast("ben", 0, Choice.LEFT)
    tokens = [sheet.token for sheet in blind_set.sheets]
    assert links(blind_set, book, "https://judge.example.com/shop/") == [
        f"anna (0 of 3): https://judge.example.com/shop/#{tokens[0]}",
        f"ben (1 of 3): https://judge.example.com/shop/#{tokens[1]}",
    ]
    book.close()


def test_an_address_that_is_taken_is_one_line(tmp_path: Path) -> None:
    """And the votes are free again."""
    folder = blind_folder(tmp_path / "blind", 3)
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(SetupError, match=r"cannot listen on 127.0.0.1 port"),
    ):
        serve_blind_set(folder, "127.0.0.1", other.getsockname()[1], None, print)
    VoteBook(folder / VOTES_FOLDER).close()


@pytest.mark.parametrize("host", ["a..b", "a\0b", "a" * 70])
def test_a_name_that_cannot_be_one_is_one_line(tmp_path: Path, host: str) -> None:
    """Before it is looked up."""
    folder = blind_folder(tmp_path / "blind", 3)
    with pytest.raises(SetupError, match="cannot listen on"):
        serve_blind_set(folder, host, 0, None, print)


def test_a_folder_that_is_no_blind_set_is_refused(tmp_path: Path) -> None:
    """Before a port is taken."""
    with pytest.raises(SetupError, match="is not a blind set"):
        serve_blind_set(tmp_path, "127.0.0.1", 0, None, print)
