"""The mechanisms hold against an attack on what they release, and broken ones do not."""

from __future__ import annotations

import pytest

from benchmarks.mechanism_attack import BROKEN, Setting, applies, attacked

SETTINGS = [
    Setting(mechanism, 1.0, 1e-2, relation, case)
    for mechanism in ("DPAnchors", "votes")
    for relation, case in (("add_or_remove", "one more"), ("replace", "another class"))
]


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_a_mechanism_shows_no_more_than_it_states(setting):
    shown = max(attacked(setting, 10_000) for _ in range(2))
    assert 0.25 < shown <= setting.epsilon * 1.05


@pytest.mark.parametrize(
    ("setting", "broken"),
    [(setting, broken) for setting in SETTINGS for broken in BROKEN if applies(setting, broken)],
    ids=str,
)
def test_a_broken_mechanism_is_caught(setting, broken):
    assert attacked(setting, 10_000, broken) > setting.epsilon * 1.1
