"""How many examples a property is tried with, and whether they are the same in every run.

As a rule they are: hypothesis' own profile for CI derives them from the test, so that what fails in
CI fails everywhere. `--hypothesis-profile explore` draws others, ten times as many, and keeps what
failed for the next run; with `--hypothesis-seed N` it draws the same ones again.
"""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

REPEATABLE, EXPLORING = "ci", "explore"
TIMES = 10
"""Examples of an exploring run, for each of a usual one."""

BESIDE_FIXTURES = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
"""Left out where all examples of a test share its fixtures. How long one takes says nothing."""


def register_profiles() -> None:
    """Take the repeatable profile, unless the command line has another one."""
    usual = settings.get_profile("default")
    settings.register_profile(
        EXPLORING,
        usual,
        max_examples=TIMES * usual.max_examples,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile(REPEATABLE)


def examples(count: int) -> int:
    """Return the number of examples of this run, where a usual one has `count`."""
    exploring = settings.get_current_profile_name() == EXPLORING
    return count * TIMES if exploring else count


def histories(count: int, *, steps: int) -> settings:
    """Return how a state machine runs: so many histories of at most so many steps.

    None is shrunk: a shorter one would be nicer to read, and takes minutes to find.
    """
    return settings(
        max_examples=examples(count),
        stateful_step_count=steps,
        phases=(Phase.reuse, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
