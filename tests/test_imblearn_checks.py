"""imbalanced-learn's own checks of samplers, as far as they can be run on texts.

Its checks make their data themselves, and all but a few make matrices of numbers, which
`SMOTExT` refuses as it should. `REPLACED` names those with the reason; for each the behaviour
that it checks is checked below on texts, under the same name with ``_on_texts``. A check that
imbalanced-learn adds later is run, and so seen.
"""

from __future__ import annotations

import inspect
import sys
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from imblearn.base import is_sampler
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils import estimator_checks
from sklearn.base import clone
from sklearn.preprocessing import label_binarize
from sklearn.utils.multiclass import type_of_target

from smotext_lab import SMOTExT
from smotext_lab.errors import SmotextError

_NUMBERS = "makes a matrix of numbers; texts are not numbers"
REPLACED = {
    "check_samplers_fit": _NUMBERS,
    "check_samplers_fit_resample": _NUMBERS,
    "check_samplers_sampling_strategy_fit_resample": _NUMBERS,
    "check_samplers_pandas": _NUMBERS,
    "check_samplers_list": _NUMBERS,
    "check_samplers_multiclass_ova": _NUMBERS,
    "check_samplers_preserve_dtype": _NUMBERS,
    "check_samplers_sample_indices": _NUMBERS,
    "check_samplers_2d_target": _NUMBERS,
    "check_samplers_string": (
        "wants the resampled strings to be among the given ones, which holds where texts are "
        "copied; SMOTExT writes new ones"
    ),
    "check_param_validation": _NUMBERS,
    "check_dataframe_column_names_consistency": _NUMBERS,
}
NOT_FOR_TEXTS = {
    "check_samplers_pandas_sparse": "texts have no zeros to leave out: there is no sparse column",
    "check_samplers_sparse": "not asked for: the tag says that sparse matrices are not taken",
    "check_samplers_nan": "not asked for: a missing text is an error, and the tag says so",
}


def yielded() -> dict[str, object]:
    """The checks that imbalanced-learn has for a sampler with our tags, by name."""
    checks = estimator_checks._yield_all_checks(SMOTExT())
    return {estimator_checks._check_name(check): check for check in checks}


RUN = {name: c for name, c in yielded().items() if name not in REPLACED | NOT_FOR_TEXTS}


@pytest.fixture
def sampler(word_decoder) -> SMOTExT:
    return SMOTExT(decoder=word_decoder(), random_state=0, guards=False, progress=False)


@pytest.fixture
def data(topics) -> tuple[np.ndarray, np.ndarray]:
    texts, labels = topics(money=20, sport=12, weather=8)
    return np.array(texts, dtype=object), np.unique(labels, return_inverse=True)[1]


@pytest.mark.parametrize("name", RUN)
def test_check_of_imbalanced_learn(name, sampler):
    RUN[name]("SMOTExT", sampler)


@pytest.mark.parametrize("name", [name for name in REPLACED if name in yielded()])
def test_replaced_checks_fail_for_the_reason_given(name, sampler):
    """Else they could be run as they are."""
    error = AssertionError if "among the given" in REPLACED[name] else SmotextError
    with pytest.raises(error):
        yielded()[name]("SMOTExT", sampler)


def test_every_replaced_check_has_its_replacement():
    here = {name for name, _ in inspect.getmembers(sys.modules[__name__], inspect.isfunction)}
    assert {f"test_{name}_on_texts" for name in REPLACED} <= here


def test_checks_that_the_tags_rule_out_are_not_asked_for():
    assert {n for n in NOT_FOR_TEXTS if n in yielded()} == {"check_samplers_pandas_sparse"}


def test_smotext_is_an_over_sampler_to_imbalanced_learn(sampler):
    assert is_sampler(sampler)
    assert isinstance(sampler, BaseOverSampler)


def test_check_samplers_fit_on_texts(sampler, data):
    sampler.fit_resample(*data)
    assert sampler.sampling_strategy_ == {1: 8, 2: 12}


def test_check_samplers_fit_resample_on_texts(sampler, data):
    _, y = sampler.fit_resample(*data)
    assert Counter(y.tolist()) == {0: 20, 1: 20, 2: 20}


def test_check_samplers_sampling_strategy_fit_resample_on_texts(sampler, data):
    sampler.set_params(sampling_strategy={2: 15, 0: 21})
    _, y = sampler.fit_resample(*data)
    assert Counter(y.tolist()) == {0: 21, 1: 12, 2: 15}


def test_check_samplers_pandas_on_texts(sampler, data):
    X, y = data
    frame = pd.DataFrame({"body": X})
    plain_X, plain_y = sampler.fit_resample(X, y)
    for labels in (pd.Series(y, name="class"), pd.DataFrame({"class": y})):
        new_frame, new_labels = sampler.fit_resample(frame, labels)
        assert isinstance(new_frame, pd.DataFrame)
        assert type(new_labels) is type(labels)
        assert new_frame.columns.equals(frame.columns)
        assert new_frame["body"].tolist() == plain_X.tolist()
        assert np.ravel(new_labels.to_numpy()).tolist() == plain_y.tolist()
    assert sampler.fit_resample(frame, pd.Series(y, name="class"))[1].name == "class"


def test_check_samplers_list_on_texts(sampler, data):
    X, y = data
    texts, labels = sampler.fit_resample(X.tolist(), y.tolist())
    assert type(texts) is type(labels) is list
    plain_X, plain_y = sampler.fit_resample(X, y)
    assert (texts, labels) == (plain_X.tolist(), plain_y.tolist())


@pytest.mark.parametrize("form", [np.asarray, pd.DataFrame, np.ndarray.tolist])
def test_check_samplers_multiclass_ova_on_texts(sampler, data, form):
    X, y = data
    one_hot = form(label_binarize(y, classes=[0, 1, 2]))
    plain_X, plain_y = sampler.fit_resample(X, y)
    ova_X, ova_y = sampler.fit_resample(X, one_hot)
    assert ova_X.tolist() == plain_X.tolist()
    assert type(ova_y) is type(one_hot)
    assert type_of_target(np.asarray(ova_y)) == "multilabel-indicator"
    assert np.asarray(ova_y).argmax(axis=1).tolist() == plain_y.tolist()


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint64, bool, "U5", object])
def test_check_samplers_preserve_dtype_on_texts(sampler, data, dtype):
    X, y = data[0][data[1] < 2], data[1][data[1] < 2].astype(dtype)
    new_X, new_y = sampler.fit_resample(X, y)
    assert (new_X.dtype, new_y.dtype) == (X.dtype, y.dtype)


def test_check_samplers_sample_indices_on_texts(sampler, data):
    sampler.fit_resample(*data)
    assert not hasattr(sampler, "sample_indices_")


def test_check_samplers_2d_target_on_texts(sampler, data):
    X, y = data
    _, column = sampler.fit_resample(X, y.reshape(-1, 1))
    assert np.ravel(column).tolist() == sampler.fit_resample(X, y)[1].tolist()


def test_check_samplers_string_on_texts(sampler, data):
    X, y = data[0].reshape(-1, 1), data[1]
    new_X, new_y = sampler.fit_resample(X, y)
    assert new_X.dtype == object
    assert new_X.shape == (len(new_y), 1)
    assert new_X[: len(X)].tolist() == X.tolist()


@pytest.mark.parametrize("name", SMOTExT._parameter_constraints)
@pytest.mark.parametrize("method", ["fit", "fit_resample"])
def test_check_param_validation_on_texts(sampler, data, name, method):
    assert SMOTExT._parameter_constraints.keys() == sampler.get_params(deep=False).keys()
    made = clone(sampler).set_params(**{name: type("BadType", (), {})()})
    with pytest.raises(ValueError, match=rf"The '{name}' parameter of SMOTExT must be .* Got "):
        getattr(made, method)(*data)


def test_check_dataframe_column_names_consistency_on_texts(sampler, data):
    sampler.fit(pd.DataFrame({"body": data[0]}), data[1])
    assert sampler.feature_names_in_.dtype == object
    assert sampler.feature_names_in_.tolist() == ["body"]
    assert sampler.get_feature_names_out().tolist() == ["body"]
    with pytest.raises(ValueError, match="input_features is not equal to feature_names_in_"):
        sampler.get_feature_names_out(["other"])
