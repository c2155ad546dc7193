"""`SMOTExT`: the road as an imbalanced-learn over-sampler."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
)

from smotext_lab.equipment import equip
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.forms import TextForm
from smotext_lab.guards import Guards
from smotext_lab.identity import data_sha256, decoding_of, digest_of, models_of
from smotext_lab.interpolators import Interpolator, SMOTEInterpolator
from smotext_lab.interpolators.blends import Blending
from smotext_lab.sampler.counts import by_strategy, per_class, plain
from smotext_lab.sampler.forms import Given, read_labels
from smotext_lab.sampler.generation import Generation, Source, Watch, word_counts
from smotext_lab.surrogates import encodable
from smotext_lab.synthesis import Synthesis

__all__ = ["SMOTExT"]


class SMOTExT(BaseOverSampler):
    """Over-sample texts: SMOTE among their vectors, each new point written out as a text.

    The texts are encoded, blends of neighbours of the same class are planned, a language
    model writes the text that each blend stands for, and guards judge it. A refused text is
    written again, then another blend is drawn; what still fails is reported. What became of
    every attempt is in `synthesis_`.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default="auto"
        Exactly as in imbalanced-learn; a dict holds final totals per class.
    random_state : int, RandomState or None, default=None
        The same int gives the same texts. None takes a new one, which `synthesis_.info`
        tells, or the interpolator's if it has an int.
    k_neighbors : int or nearest-neighbours estimator, default=5
        For the default interpolator.
    interpolator : Interpolator, optional
        Who is blended with whom; default ``SMOTEInterpolator(k_neighbors)``.
    encoder : Encoder, optional
        Texts to vectors; default the decoder's.
    decoder : XRAGDecoder, optional
        Vectors to texts; default one with the default models. It is loaded once a process and
        clones share it.
    blending : {"lerp", "slerp"}, default="lerp"
        See `Blends.points`.
    guidance_scale : float, default=1.0
        How far beyond a blend the decoder is asked to go: so many times the way from the mean of
        all classes to that of the blend's own, since what tells the classes apart is what gets
        lost in writing. Of the texts tried, the best is still found by its cosine to the blend
        itself. 0: the decoder reads the blend as it is.
    guards : Guards or bool, default=True
        True for `Guards` with its defaults, False for `Guards.off`.
    max_attempts : int, default=3
        How often one blend is decoded before another is drawn.
    max_blends : int, default=3
        How many blends are drawn for one row before it is given up.
    long_texts : {"truncate", "sentences", "error"}, optional
        How texts are read that are longer than the encoder reads; default as the encoder is
        set, for `BertEncoder` "truncate". How many there were is in ``synthesis_.info``.
    strict : bool, default=False
        Raise, instead of warn, if a class does not get its number.
    progress : bool, default=True
        Show bars.

    Attributes
    ----------
    sampling_strategy_ : dict
        New texts wanted per class, as in imbalanced-learn.
    synthesis_ : Synthesis
        The new texts with their provenance, and the refused ones with their reasons. Also
        there after an interruption, with all that was finished.
    n_features_in_ : int
        1, the column of texts.
    feature_names_in_ : ndarray of shape (1,)
        The column's name, where the texts came in a frame.

    See Also
    --------
    imblearn.over_sampling.SMOTE : The same on vectors, with nothing decoded.

    Notes
    -----
    Blank texts are never parents; they are counted in ``synthesis_.info`` and stay in what
    is given back.

    References
    ----------
    SMOTExT, arXiv 2505.13434, section 3. N. V. Chawla et al., "SMOTE: synthetic minority
    over-sampling technique", JAIR 16, 2002, section 4.2. The scale is named after that of
    J. Ho and T. Salimans, arXiv 2207.12598, equation 6, where a model is moved on from what it
    says without a label to what it says with one; here the means of vectors are.

    Examples
    --------
    >>> from smotext_lab import SMOTExT
    >>> texts = ["Rain is due tonight.", "Snow fell on the hills.", "The wind will drop.",
    ...          "The bank cut its rates.", "Shares fell in London."]
    >>> labels = ["weather"] * 3 + ["money"] * 2
    >>> sampler = SMOTExT(k_neighbors=1, random_state=0, guards=False, progress=False)
    >>> new_texts, new_labels = sampler.fit_resample(texts, labels)
    >>> new_texts[:5] == texts, new_labels[5:]
    (True, ['money'])
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseOverSampler._parameter_constraints,
        "k_neighbors": [
            Interval(Integral, 1, None, closed="left"),
            HasMethods(["kneighbors", "kneighbors_graph"]),
        ],
        "interpolator": [HasMethods(["plan"]), None],
        "encoder": [HasMethods(["encode"]), None],
        "decoder": [HasMethods(["decode_rows"]), None],
        "blending": [StrOptions({"lerp", "slerp"})],
        "guidance_scale": [Interval(Real, 0, None, closed="left")],
        "guards": [Guards, "boolean"],
        "max_attempts": [Interval(Integral, 1, None, closed="left")],
        "max_blends": [Interval(Integral, 1, None, closed="left")],
        "long_texts": [StrOptions({"truncate", "sentences", "error"}), None],
        "strict": ["boolean"],
        "progress": ["boolean"],
    }

    def __init__(
        self,
        *,
        sampling_strategy: Any = "auto",
        random_state: Any = None,
        k_neighbors: Any = 5,
        interpolator: Interpolator | None = None,
        encoder: Any = None,
        decoder: Any = None,
        blending: Blending = "lerp",
        guidance_scale: float = 1.0,
        guards: Guards | bool = True,
        max_attempts: int = 3,
        max_blends: int = 3,
        long_texts: Literal["truncate", "sentences", "error"] | None = None,
        strict: bool = False,
        progress: bool = True,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.random_state = random_state
        self.k_neighbors = k_neighbors
        self.interpolator = interpolator
        self.encoder = encoder
        self.decoder = decoder
        self.blending = blending
        self.guidance_scale = guidance_scale
        self.guards = guards
        self.max_attempts = max_attempts
        self.max_blends = max_blends
        self.long_texts = long_texts
        self.strict = strict
        self.progress = progress

    def fit(self, X: Any, y: Any) -> SMOTExT:
        """Check texts, labels and parameters, and set `sampling_strategy_`.

        Parameters
        ----------
        X : list, 1-d or one-column array, Series or one-column frame of str
        y : list, array, Series, Categorical or frame of labels

        Returns
        -------
        SMOTExT
            Itself. `fit_resample` is what makes texts.
        """
        self._read(X, y)
        return self

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Return the texts and labels with new ones after them.

        Parameters
        ----------
        X : list, 1-d or one-column array, Series or one-column frame of str
        y : list, array, Series, Categorical or frame of labels
            One a text, or one-hot rows.

        Returns
        -------
        X_resampled, y_resampled
            Of the types given, the originals first and as they were. Unlike in
            imbalanced-learn the index of a Series or frame is kept; new rows go on counting
            an integer index (which for the usual 0, 1, … is what imbalanced-learn gives), and
            are ``"synthetic-0"`` and so on in any other. `y` gets the index of `X`.

        Raises
        ------
        DataError
            If texts or labels cannot be used, a class is too small to blend, or, under
            ``strict=True``, a class does not get its number.
        ParameterError
            If a parameter cannot be used.
        KeyboardInterrupt
            If interrupted; what was finished is in `synthesis_`.

        Warns
        -----
        UserWarning
            If a class does not get its number, with how many are missing and why.
        """
        given = self._read(X, y)
        try:
            self._fit_resample(given, self.sampling_strategy_)
        except KeyboardInterrupt as interrupt:
            raise KeyboardInterrupt(self._interrupted(self.sampling_strategy_)) from interrupt
        made = self.synthesis_.accepted
        return given.longer(made["text"].tolist(), made["label"].tolist())

    def generate(
        self, texts: Any, y: Any, n: int | Mapping[Any, int], *, watch: Watch | None = None
    ) -> Synthesis:
        """Return new texts only.

        Parameters
        ----------
        texts : list, 1-d or one-column array, Series or one-column frame of str
        y : list, array, Series, Categorical or frame of labels
        n : int or dict of label -> int
            The total, shared in proportion to the classes (largest remainder), or the number
            of each class; a class that a dict leaves out gets none.
        watch : callable, optional
            Told a list of rows, with the columns of `Synthesis`, each time some have been
            judged. Raise KeyboardInterrupt in it to stop.

        Returns
        -------
        Synthesis
            Also kept as `synthesis_`. If interrupted, with what was finished by then, a
            warning, and ``interrupted`` in its `info`.

        Raises
        ------
        DataError, ParameterError
            As `fit_resample`.

        Examples
        --------
        >>> from smotext_lab import SMOTExT
        >>> texts = ["Rain is due tonight.", "Snow fell on the hills.", "The wind will drop."]
        >>> sampler = SMOTExT(k_neighbors=2, random_state=0, guards=False, progress=False)
        >>> len(sampler.generate(texts, ["weather"] * 3, n=2))
        2
        """
        self._check_parameters()
        given = Given.read(texts, y)
        wanted = per_class(n, given.labels)
        try:
            self._fit_resample(given, wanted, watch)
        except KeyboardInterrupt:
            if self.synthesis_.frame.empty:
                raise
            self.synthesis_.info["interrupted"] = True
            warnings.warn(self._interrupted(wanted), UserWarning, stacklevel=2)
        return self.synthesis_

    def _fit_resample(self, given: Given, n: Mapping[Any, int], watch: Watch | None = None) -> None:
        """Make the texts and set `synthesis_`, also where the making breaks off."""
        self.synthesis_ = self._result(given, [], {})
        if not any(n.values()):
            return
        encoder, decoder = equip(self.encoder, self.decoder, self.long_texts)
        usable = [row for row, text in enumerate(given.texts) if text.strip()]
        texts = [encodable(given.texts[row]) for row in usable]
        labels = given.labels[usable]
        interpolator = self._interpolator()
        seed = _seed(self.random_state, interpolator)
        vectors = encoder.encode(texts, progress=self.progress)
        forms = [TextForm.of(text) for text in texts]
        lengths = word_counts(texts, decoder)
        source = Source(vectors, labels, interpolator, seed, self.blending, forms, lengths)
        generation = Generation(
            source,
            {label: count for label, count in n.items() if count},
            decoder,
            self._guards().fit(texts, vectors, labels, positions=usable),
            max_attempts=self.max_attempts,
            max_blends=self.max_blends,
            guidance_scale=self.guidance_scale,
            positions=usable,
            progress=self.progress,
            watch=watch,
        )
        facts = {
            "random_state": seed,
            "interpolator": repr(interpolator),
            "encoder": getattr(encoder, "fingerprint", repr(encoder)),
            "decoder": repr(decoder),
            "models": models_of(decoder),
            "decoding": decoding_of(decoder),
            "data_sha256": _data_sha256(texts, labels.tolist()),
            "asked": {str(label): int(count) for label, count in n.items()},
            "texts": len(given.texts),
            "blank_texts": len(given.texts) - len(usable),
            "long_texts": getattr(getattr(encoder, "lengths_", None), "n_long", None),
        }
        try:
            generation.run()
        except Exception as error:
            error.add_note("What was finished is in the sampler's synthesis_.")
            raise
        finally:
            self.synthesis_ = self._result(given, generation.records, facts)
        self._account(n, generation)

    def resolved(self) -> tuple[Interpolator, Guards, int]:
        """Return the interpolator, the guards and the seed that a run of now works with.

        Raises
        ------
        ParameterError
            If a parameter cannot be used.
        """
        self._check_parameters()
        interpolator = self._interpolator()
        return interpolator, self._guards(), _seed(self.random_state, interpolator)

    def _interpolator(self) -> Interpolator:
        if self.interpolator is None:
            return SMOTEInterpolator(self.k_neighbors)
        return self.interpolator

    def _guards(self) -> Guards:
        if isinstance(self.guards, Guards):
            return self.guards
        return Guards() if self.guards else Guards.off()

    def _result(
        self, given: Given, records: list[dict[str, Any]], facts: dict[str, Any]
    ) -> Synthesis:
        info = facts and {
            "blending": self.blending,
            "guidance_scale": self.guidance_scale,
            "guards": self._guards().described(),
            "max_attempts": self.max_attempts,
            "max_blends": self.max_blends,
            **facts,
            "length_ratio": _length_ratio(given.texts, records),
        }
        return Synthesis.from_rows(
            records,
            originals=given.frame(),
            info=info,
            text_column=given.text_name,
            label_column=given.label_name,
        )

    def _account(self, n: Mapping[Any, int], generation: Generation) -> None:
        """Say which classes did not get their number, and why."""
        made = self.synthesis_.accepted["label"].value_counts().to_dict()
        counts = {label: (made.get(label, 0), count) for label, count in plain(n).items()}
        if all(got >= count for got, count in counts.values()):
            return
        reasons = generation.lacking()
        reasons["nothing to blend"] = sum(n.values()) - len(generation.blends)
        msg = (
            f"SMOTExT made {len(self.synthesis_)} of {sum(n.values())} texts: "
            + ", ".join(f"{got} of {c} for {label!r}" for label, (got, c) in counts.items())
            + f". After {self.max_attempts} attempts at each of {self.max_blends} blends: "
            + ", ".join(f"{kind} {times}" for kind, times in reasons.most_common() if times)
            + ". Loosen those guards, raise max_attempts or max_blends, or let the decoder vary "
            "more; synthesis_.rejected has every refusal."
        )
        if self.strict:
            raise DataError(msg)
        warnings.warn(msg, UserWarning, stacklevel=4)

    def _interrupted(self, n: Mapping[Any, int]) -> str:
        done = f"{len(self.synthesis_)} of {sum(n.values())}"
        return f"Interrupted: {done} new texts are finished, they are in synthesis_."

    def _read(self, X: Any, y: Any) -> Given:
        self._check_parameters()
        self.sampling_strategy_ = by_strategy(self.sampling_strategy, read_labels(y))
        given = Given.read(X, y)
        self._note_features(X)
        return given

    def _note_features(self, X: Any) -> None:
        self.n_features_in_ = 1
        names = getattr(X, "columns", None)
        if names is not None and isinstance(names[0], str):
            self.feature_names_in_ = np.array([names[0]], dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _check_parameters(self) -> None:
        try:
            self._validate_params()
        except InvalidParameterError as error:
            raise ParameterError(str(error)) from None
        if self.interpolator is not None and self.k_neighbors != 5:
            msg = (
                f"k_neighbors={self.k_neighbors!r} has no effect beside an interpolator: set "
                "the interpolator's own, e.g. set_params(interpolator__k_neighbors=…)."
            )
            raise ParameterError(msg)

    def __sklearn_clone__(self) -> SMOTExT:
        """Clone, sharing encoder and decoder: a grid search must not load models per fit."""
        bare = copy.copy(self)
        bare.encoder = bare.decoder = None
        twin: SMOTExT = BaseOverSampler.__sklearn_clone__(bare)
        twin.encoder, twin.decoder = self.encoder, self.decoder
        return twin

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.sparse = False
        tags.input_tags.string = True
        return tags


def _seed(random_state: Any, interpolator: Any) -> int:
    source = random_state
    if source is None:
        source = getattr(interpolator, "random_state", None)
    if source is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(source, Integral):
        return int(source)
    return int(check_random_state(source).randint(2**32, dtype=np.uint64))


def _data_sha256(texts: list[str], labels: list[Any]) -> str:
    """Return what a job would call the same texts and labels."""
    known: dict[Any, int] = {}
    codes = [known.setdefault(label, len(known)) for label in labels]
    return data_sha256([digest_of(texts, codes)], list(known))


def _length_ratio(texts: list[str], records: list[dict[str, Any]]) -> float | None:
    """Return the words of the accepted texts over those of their parents, by weight."""
    kept = [record for record in records if record["status"] == "accepted"]
    made = sum(len(record["text"].split()) for record in kept)
    given = sum(
        weight * len(texts[parent].split())
        for record in kept
        for parent, weight in zip(record["parents"], record["weights"], strict=True)
    )
    return round(made / given, 4) if given > 0 else None
