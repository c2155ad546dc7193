"""The mechanisms hold against an attack on what they release, and broken ones do not."""

from __future__ import annotations

import pytest

from benchmarks.mechanism_attack import BROKEN, Setting, applies, attacked, settings

SETTINGS = [each for each in settings() if each.epsilon == 1]


def test_all_mechanisms_are_attacked_by_text_user_and_replacement():
    cases = {(each.mechanism, each.neighbouring, each.case == "one more user") for each in SETTINGS}
    for mechanism in ("DPAnchors", "DPGaussian", "PrivateEvolution", "DPProjector"):
        assert {c[1:] for c in cases if c[0] == mechanism} == {
            ("add_or_remove", False),
            ("add_or_remove", True),
            ("replace", False),
        }


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_a_mechanism_shows_no_more_than_it_states(setting: Setting):
    # with 10,000 draws the bound for what is not tight falls below that now and then
    shown = max(attacked(setting, 20_000) for _ in range(2))
    assert 0.25 < shown <= setting.epsilon * 1.05


@pytest.mark.parametrize(
    ("setting", "broken"),
    [(setting, broken) for setting in SETTINGS for broken in BROKEN if applies(setting, broken)],
    ids=str,
)
def test_a_broken_mechanism_is_caught(setting: Setting, broken: str):
    shown = (attacked(setting, 10_000, broken) for _ in range(2))  # a bound may fall short
    assert any(epsilon > setting.epsilon * 1.1 for epsilon in shown)
