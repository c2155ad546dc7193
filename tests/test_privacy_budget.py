from __future__ import annotations

import contextlib
import json
import math
import os
import re
import signal
import stat
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from dp_accounting.gaussian_mechanism import get_epsilon_gaussian, get_sigma_gaussian

from smotext_lab.errors import BudgetError, DataError, ParameterError
from smotext_lab.privacy import Guarantee, PrivacyBudget, PrivateEvolution
from smotext_lab.privacy.accounting import composed, delta_of, epsilon_of, mu_of
from smotext_lab.privacy.guarantee import stated_in
from smotext_lab.privacy.noise import add_noise, on_grid, one_by_one, rounded_gaussian

GRID = [(e, d) for e in (0.1, 0.5, 1, 2, 4, 8, 16) for d in (1e-2, 1e-4, 1e-6, 1e-9)]


def costing(epsilon: float, delta: float = 1e-5, **kind: str) -> Guarantee:
    return Guarantee(epsilon, delta, mu=mu_of(epsilon, delta), **kind)


@pytest.mark.parametrize(("epsilon", "delta"), GRID)
def test_noise_for_an_epsilon_is_that_of_dp_accounting(epsilon, delta):
    assert 1 / mu_of(epsilon, delta) == pytest.approx(
        get_sigma_gaussian(epsilon, delta, tol=1e-12), rel=1e-6
    )


@pytest.mark.parametrize("delta", [1e-2, 1e-4, 1e-6, 1e-9])
@pytest.mark.parametrize("sigma", [0.2, 0.5, 1, 3, 10, 40])
def test_epsilon_of_noise_is_that_of_dp_accounting(sigma, delta):
    expected = get_epsilon_gaussian(sigma, delta, tol=1e-12)
    assert epsilon_of(1 / sigma, delta) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    "mus", [[0.2] * 7, [1.0] * 3, [0.1] * 20, [0.1, 0.3, 0.7], [1.0, 0.5], [0.05] * 20 + [0.4]]
)
def test_composition_is_that_of_a_numerical_accountant(mus):
    from dp_accounting import ComposedDpEvent, GaussianDpEvent
    from dp_accounting.pld import PLDAccountant

    accountant = PLDAccountant().compose(ComposedDpEvent([GaussianDpEvent(1 / mu) for mu in mus]))
    for delta in (1e-3, 1e-5, 1e-6):
        numerical = accountant.get_epsilon(delta)
        assert epsilon_of(composed(*mus), delta) == pytest.approx(numerical, abs=1e-6)


@pytest.mark.parametrize(("epsilon", "delta"), GRID)
def test_calibrated_noise_never_costs_more_than_asked(epsilon, delta):
    assert delta_of(epsilon, mu_of(epsilon, delta)) <= delta


@pytest.mark.parametrize(("epsilon", "delta"), [(0, 1e-5), (-1, 1e-5), (math.nan, 1e-5), (1, 0)])
def test_an_epsilon_or_delta_that_says_nothing_is_refused(epsilon, delta):
    with pytest.raises(ParameterError):
        mu_of(epsilon, delta)


def test_an_epsilon_that_no_noise_is_enough_for_is_refused():
    with pytest.raises(ParameterError, match="larger epsilon or delta"):
        mu_of(1e-9, 1e-12)
    assert delta_of(1e-4, mu_of(1e-4, 1e-12)) <= 1e-12


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be opened there")
def test_what_was_spent_and_drawn_outlasts_a_power_cut(tmp_path, monkeypatch):
    kept = []
    flush = os.fsync

    def noted(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            kept.append([path.name for path in sorted(tmp_path.glob("*.json"))])
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    PrivacyBudget(tmp_path / "b.json", 4.0, 1e-5)
    PrivateEvolution(1.0, 1e-5, checkpoint=tmp_path / "c.json")._write({"rounds": []})
    assert kept == [["b.json"], ["b.json", "c.json"]], "the folder after the rename"
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())


def test_releases_state_together_what_they_cost_together():
    one, two = (replace(costing(1.0), release=name).described() for name in ("a", "b"))
    parts = [{"guarantee": each} for each in (one, two, one)]
    both = stated_in({"parts": parts})
    expected = epsilon_of(math.sqrt(2) * mu_of(1.0, 1e-5), 1e-5)
    assert both["epsilon"] == pytest.approx(expected)
    assert f"ε = {expected:g}" in both["sentence"]
    assert stated_in({"parts": [parts[0], parts[0]]})["epsilon"] == pytest.approx(1.0)
    unnamed = [{"guarantee": costing(1.0).described()}] * 2  # may be two releases
    assert stated_in({"parts": unnamed})["epsilon"] == pytest.approx(expected)
    assert stated_in({"parts": [parts[0], {}]}) == {}
    other = {"guarantee": costing(1.0, neighbouring="replace").described()}
    unlike = stated_in({"parts": [parts[0], other]})
    assert "epsilon" not in unlike
    assert "cannot be added up" in unlike["sentence"]


@pytest.mark.parametrize("stated", ["private", {"epsilon": "1"}, {"epsilon": 1, "delta": []}])
def test_a_statement_that_cannot_be_read_is_none(stated):
    for info in ({"guarantee": stated}, {"parts": [{"guarantee": stated}, {}]}):
        with pytest.raises(DataError, match="cannot be read"):
            stated_in(info)


def test_the_sentence_says_unit_relation_and_what_is_public():
    made = Guarantee(2, 1e-4, "replace", "user", 3, ("the models",))
    assert str(made) == (
        "Differentially private with ε = 2 and δ = 0.0001 for putting one user (at most 3 texts "
        "of each are read) in another's place; taken as public and not protected: the models."
    )
    assert json.loads(json.dumps(made.described()))["epsilon"] == 2


def test_a_budget_is_spent_up_to_its_epsilon_and_no_further(tmp_path):
    budget = PrivacyBudget(tmp_path / "b.json", 2, 1e-5)
    part = Guarantee(1, 1e-5, mu=mu_of(2, 1e-5) / 2)
    for _ in range(4):  # four of half the μ make up the whole
        budget.spend(part, "part")
    assert budget.spent == pytest.approx(2, abs=1e-6)
    before = budget.path.read_bytes()
    with pytest.raises(BudgetError, match="does not cover"):
        budget.spend(costing(0.01), "more")
    assert budget.path.read_bytes() == before


def test_a_budget_outlives_the_process_and_keeps_its_terms(tmp_path):
    PrivacyBudget(tmp_path / "b.json", 2, 1e-5).spend(costing(1.5), "first")
    again = PrivacyBudget(tmp_path / "b.json")
    assert again.spent == pytest.approx(1.5)
    with pytest.raises(BudgetError, match="not changed"):
        PrivacyBudget(tmp_path / "b.json", 4)
    with pytest.raises(BudgetError, match="neighbouring = 'add_or_remove', not 'replace'"):
        PrivacyBudget(tmp_path / "b.json", neighbouring="replace")
    with pytest.raises(BudgetError, match="unit = 'text', not 'user'"):
        PrivacyBudget(tmp_path / "b.json", unit="user")
    with pytest.raises(ParameterError, match="did you mean 'replace'"):
        PrivacyBudget(tmp_path / "new.json", 4, 1e-5, neighbouring="replaced")
    with pytest.raises(BudgetError):
        again.spend(costing(1.5), "second")


def test_what_is_paid_for_is_not_paid_twice_by_the_same_name(tmp_path):
    budget = PrivacyBudget(tmp_path / "b.json", 1, 1e-5)
    name = budget.spend(costing(1), "run")
    assert budget.spend(costing(1), "run", name=name) == name
    assert len(budget.entries) == 1
    with pytest.raises(BudgetError, match="paid for less"):
        budget.spend(costing(2), "more", name=name)


@pytest.mark.parametrize("content", ["", "{}", '{"version": 1', '{"version": 9, "spent": []}'])
def test_a_damaged_budget_releases_nothing(tmp_path, content):
    path = tmp_path / "b.json"
    path.write_text(content)
    with pytest.raises(BudgetError, match="cannot be read"):
        PrivacyBudget(path, 1, 1e-5)


def test_what_cannot_be_added_up_is_not(tmp_path):
    budget = PrivacyBudget(tmp_path / "b.json", 4, 1e-5)
    with pytest.raises(BudgetError, match="added up"):
        budget.spend(costing(1, neighbouring="replace"), "other relation")
    with pytest.raises(BudgetError, match="no guarantee"):
        budget.spend(Guarantee(math.inf, 0.0), "nothing")
    with pytest.raises(BudgetError, match="no guarantee"):
        budget.spend(Guarantee(math.inf, 1e-5, mu=0.1), "noise that guarantees nothing")


def test_random_call_sequences_never_overspend(tmp_path):
    rng = np.random.default_rng(0)
    for turn in range(1000):
        path = tmp_path / f"{turn % 50}.json"
        epsilon = 1.0 + turn % 50 / 10
        budget = PrivacyBudget(path, epsilon, 1e-5)
        with contextlib.suppress(BudgetError):
            budget.spend(costing(float(rng.uniform(0.05, 2))), "draw")
        assert delta_of(epsilon, composed(*(e["mu"] for e in budget.entries))) <= 1e-5


SPENDER = """
import sys
from smotext_lab.privacy import Guarantee, PrivacyBudget
from smotext_lab.privacy.accounting import mu_of
budget = PrivacyBudget(sys.argv[1])
price = Guarantee(0.3, 1e-5, mu=mu_of(0.3, 1e-5))
print("ready", flush=True)
while True:
    try:
        name = budget.spend(price, "part")
    except Exception as error:
        print(type(error).__name__, flush=True)
        break
    print(name, flush=True)
"""


def test_kills_between_leave_no_release_unrecorded(tmp_path):
    path = tmp_path / "b.json"
    PrivacyBudget(path, 3, 1e-5)
    command = [sys.executable, "-c", SPENDER, str(path)]
    released = []
    for turn in range(3):
        two = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(1 + turn)
        ]
        for process in two:
            assert process.stdout is not None
            released += [process.stdout.readline().strip() for _ in range(4)]
            process.send_signal(signal.SIGKILL)
            released += process.stdout.read().split()
            process.wait()
            process.stdout.close()
    budget = PrivacyBudget(path)
    recorded = {entry["name"] for entry in budget.entries}
    assert set(released) - {"ready", "BudgetError", ""} <= recorded
    assert budget.spent <= 3


def test_clipped_rows_are_never_longer_than_the_norm_on_the_grid():
    rows = np.random.default_rng(0).normal(size=(300, 40)) * 3
    rows[0] = np.nan
    steps = on_grid(rows, 0.05, 1.0)
    assert (np.linalg.norm(steps * 0.05, axis=1) <= 1).all()
    assert not steps[0].any()
    fine = on_grid(rows[1:], 1e-6, 1.0) * 1e-6
    unit = rows[1:] / np.linalg.norm(rows[1:], axis=1, keepdims=True)
    assert np.abs(fine - unit).max() < 1e-5


def test_a_row_has_the_same_bits_whatever_stands_beside_it():
    rng = np.random.default_rng(0)
    for n, m, d in ((7, 5, 48), (40, 9, 384), (13, 128, 384)):
        rows, matrix = rng.normal(size=(n, d)), rng.normal(size=(m, d)).astype(np.float32)
        together = np.array(list(one_by_one(rows, matrix)))
        np.testing.assert_allclose(together, rows @ matrix.T, rtol=1e-10)
        for row in range(n):
            [alone] = one_by_one(rows[row : row + 1], matrix)
            np.testing.assert_array_equal(alone, together[row])


def test_no_sentence_states_less_than_holds():
    for epsilon in (2.0, 2.000004, 1.9999999999, 0.1, 1 / 3):
        told = Guarantee(epsilon, 1e-5 / 3).sentence
        shown = [float(number) for number in re.findall(r"[εδ] = (\S+)", told)]
        assert shown[0] >= epsilon
        assert shown[1] >= 1e-5 / 3
        assert shown == pytest.approx([epsilon, 1e-5 / 3], rel=1e-5)
    assert "ε = 2 and δ = 1e-05 for" in Guarantee(2.0, 1e-5).sentence


def test_noise_has_no_source_but_the_entropy_of_the_operating_system(monkeypatch):
    monkeypatch.undo()  # the seed that tests have in its place
    monkeypatch.setattr(os, "urandom", lambda size: b"\x01" * size)
    assert len(set(rounded_gaussian(50, 300.0))) == 1


def test_noise_is_gaussian_and_no_seed_repeats_it():
    from scipy import stats

    np.random.seed(0)  # noqa: NPY002
    first = rounded_gaussian(50_000, 300.0)
    np.random.seed(0)  # noqa: NPY002
    assert (rounded_gaussian(50_000, 300.0) != first).any()
    assert stats.kstest(first / 300.0, "norm").pvalue > 1e-4
    assert abs(stats.skew(first)) < 0.06


def test_without_noise_the_grid_gives_back_what_it_was_given():
    assert add_noise(np.array([3, -2]), 0.5, 0.0).tolist() == [1.5, -1.0]


def test_a_link_to_a_budget_is_that_budget(tmp_path):
    budget = PrivacyBudget(tmp_path / "real.json", 2.0, 1e-4)
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    PrivacyBudget(tmp_path / "link.json").spend(costing(2.0, 1e-4), "a")
    with pytest.raises(BudgetError):
        budget.spend(costing(2.0, 1e-4), "b")
    assert (tmp_path / "link.json").is_symlink()
