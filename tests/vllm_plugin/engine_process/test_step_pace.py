"""How many tokens of prompts a step reads, with steps whose time follows a rule."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, strategies as st

from lorabay.vllm_plugin.engine_process.step_pace import LEAST, SHORTEST_S, STRETCH, StepPace

MOST = 32


class Machine:
    """Steps that take as long as a rule says; `ahead` of them are planned before the first ends."""

    def __init__(self, plain_s: float, ahead: bool) -> None:
        self.now = 0.0
        self.pace = StepPace(lambda: self.now)
        self.plain_s = plain_s
        self._planned = [0] if ahead else []

    def step(self, tokens: int, token_s: float) -> float:
        """Plan a step, compute the one that is due, and return how long that took."""
        self.pace.planned(tokens)
        self._planned.append(tokens)
        took = self.plain_s + token_s * self._planned.pop(0)
        self.now += took
        return took


def read(machine: Machine, steps: int, token_s: Callable[[int], float]) -> list[float]:
    """Read a prompt beside a stream; `token_s` says what a token costs when so many are read."""
    took, done = [], 0
    for _ in range(steps):
        tokens = machine.pace.tokens(MOST)
        assert min(LEAST, MOST) <= tokens <= MOST
        took.append(machine.step(tokens, token_s(done)))
        done += tokens
    return took


@given(
    plain_s=st.floats(0.001, 2.0),
    token_s=st.floats(0.0, 0.05),
    growth=st.floats(0.0, 0.003),
    ahead=st.booleans(),
)
def test_a_step_stays_short_once_its_cost_is_known(
    plain_s: float, token_s: float, growth: float, ahead: bool
) -> None:
    """However much a token costs, and though it costs more with each that was read, as far as a
    prompt can be read on at all."""
    machine = Machine(plain_s, ahead)
    for _ in range(20):
        machine.step(0, 0.0)

    costs: list[float] = []

    def cost(done: int) -> float:
        costs.append(token_s * (1 + growth * done))
        return costs[-1]

    took = read(machine, 60, cost)
    limit = max(STRETCH * plain_s, SHORTEST_S)
    for seconds, each in zip(took[10:], costs[10:], strict=True):
        assert seconds <= max(1.25 * limit, plain_s + LEAST * each) + 1e-9


def test_cheap_prompts_are_read_in_whole_slices() -> None:
    """As where tokens cost next to nothing, on a fast processor or with nobody else on it."""
    machine = Machine(0.04, ahead=True)
    for _ in range(20):
        machine.step(0, 0.0)
    read(machine, 20, lambda _: 0.001)
    assert machine.pace.tokens(MOST) == MOST


def test_a_busy_moment_is_forgotten() -> None:
    """The slice shrinks while another program takes the processor, and grows again afterwards."""
    machine = Machine(0.04, ahead=True)
    for _ in range(20):
        machine.step(0, 0.0)
    read(machine, 10, lambda _: 0.02)
    assert machine.pace.tokens(MOST) == LEAST
    read(machine, 20, lambda _: 0.001)
    assert machine.pace.tokens(MOST) == MOST


def test_an_idle_time_is_no_step() -> None:
    """What passes between two streams says nothing of what a step takes."""
    machine = Machine(0.04, ahead=False)
    for _ in range(20):
        machine.step(0, 0.0)
    read(machine, 5, lambda _: 0.004)
    before = machine.pace.tokens(MOST)

    machine.pace.paused()
    machine.now += 3600
    machine.step(0, 0.0)
    machine.step(0, 0.0)
    assert machine.pace.tokens(MOST) == before


def test_nothing_is_held_back_before_anything_is_known() -> None:
    """The first prompt is read in the slices that were asked for."""
    assert StepPace().tokens(MOST) == MOST
    assert StepPace().tokens(3) == 3
