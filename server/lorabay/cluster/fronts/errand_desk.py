"""Where errands are left for the keeper, and where the keeper finds them.

Knows nothing of what is wanted, or of who keeps the names.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lorabay.cluster.fronts import errands
from lorabay.errors import SetupError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from lorabay.accounts.agreement.agreement import Agreement
    from lorabay.cluster.fronts.errands import Errand
    from lorabay.reconcile.events import Actor

ANSWER_S = 120.0
"""How long a change that the keeper is asked for may take: it loads weights."""
REMEMBERED = 1000
"""Errands of which the answers are known."""
LOOK_S = 0.05
"""Time between two looks for an answer."""


class ErrandDesk:
    """The errands of one cluster, as one of its servers leaves and finds them."""

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._answers: OrderedDict[str, str] = OrderedDict()
        """What came of errands: each is carried out once, and its answer written until it is."""

    async def ask(self, errand: Errand) -> tuple[int, Any]:
        """Have the keeper make a change; return the number of that, and its result.

        Raises the failure of the change, and StorageUnavailable if nobody answers.
        """
        found = errands.new_id()
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._agreement.ask(found, errand.as_text())
                return errands.result_of(await self._answer_of(found))
        except (TimeoutError, SetupError):
            raise StorageUnavailable(
                "the server that keeps the names does not answer; try again soon"
            ) from None
        finally:
            with suppress(SetupError):
                await self._agreement.take_back(found)

    async def _answer_of(self, errand: str) -> str:
        while True:
            # What is under way goes on, whether or not the database answers for a moment.
            with suppress(SetupError):
                answer = await self._agreement.answer_of(errand)
                if answer is not None:
                    return answer
            await asyncio.sleep(LOOK_S)

    def begin(
        self,
        waiting: Mapping[str, str],
        carry_out: Callable[[str, Mapping[str, Any], Actor], Awaitable[Any]],
        agreed: Callable[[], Awaitable[int]],
    ) -> None:
        """Carry out the errands that wait, each by itself, once; see `errands.carried_out`."""
        for errand, question in waiting.items():
            if errand not in self._under_way:
                work = self._carry(errand, question, carry_out, agreed)
                self._under_way[errand] = asyncio.create_task(work)

    async def _carry(
        self,
        errand: str,
        question: str,
        carry_out: Callable[[str, Mapping[str, Any], Actor], Awaitable[Any]],
        agreed: Callable[[], Awaitable[int]],
    ) -> None:
        try:
            # It may have been answered since the look that found it.
            if errand not in self._answers:
                text = await errands.carried_out(errands.read(question), carry_out, agreed)
                self._answers[errand] = text
            while len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
            await self._agreement.answer(errand, self._answers[errand])
        except SetupError:
            return  # the next look finds it unanswered
        finally:
            self._under_way.pop(errand, None)

    def stop(self) -> None:
        """Give up what is under way: another server finds it unanswered."""
        for task in tuple(self._under_way.values()):
            task.cancel()
