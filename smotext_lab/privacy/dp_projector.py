"""`DPProjector`: a bridge fitted to private texts by DP-SGD, so that the bridge may be shared."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from smotext_lab.bridges import Bridge, load_bridge, split_words
from smotext_lab.encoders import BertEncoder
from smotext_lab.errors import ParameterError
from smotext_lab.models import DEFAULT_LLM, fingerprint, load_llm
from smotext_lab.privacy.accounting import check, mu_of
from smotext_lab.privacy.budget import PrivacyBudget
from smotext_lab.privacy.guarantee import Guarantee, Neighbouring, stated_with
from smotext_lab.privacy.noise import GRID, add_noise, on_grid
from smotext_lab.privacy.parameters import check_whole
from smotext_lab.privacy.reading import (
    PUBLIC,
    SHARE_ONLY,
    encoded_alone,
    plain_texts,
    read_private,
)
from smotext_lab.surrogates import encodable
from smotext_lab.training.card import write_card
from smotext_lab.training.trainer import Batch, BridgeRecipe, BridgeTrainer
from smotext_lab.writer import end_tokens

__all__ = ["DPProjector", "noisy_sum"]

_MOST_TOKENS = 128  # of a text: the rest of a longer one is not read
_OWN = {"README.md", "bridge.json", "bridge.safetensors"}
_FINE = 2**16  # grid steps in `clip`: few enough of them are lost to rounding 3 million weights


class DPProjector:
    """Fit a bridge to private texts with a differential privacy guarantee for the bridge.

    The learnt tokens of a public bridge are trained further. Each private text gives one gradient
    an epoch, shortened to length `clip`; the gradients of a batch are added up, get Gaussian
    noise, and make one step. Words, lexical head and LoRA stay those of the public bridge.

    **What is guaranteed is the bridge.** A text that is decoded with it *from a private text's
    vector* is not covered: the vector itself gives that text away. Use it with vectors that may be
    known, such as those of `DPAnchors`.

    Parameters
    ----------
    epsilon, delta : float
        The guarantee. δ about ``1 / (n ln n)`` for about n texts.
    bridge : str or Path, default="default"
        The public bridge it starts from.
    encoder : Encoder, optional
    llm : str
        See `XRAGDecoder`.
    epochs : int, default=2
        How often each text is read.
    n_batches : int, default=10
        Steps an epoch; each text is in one of them, which is drawn for it alone.
    clip : float, default=0.1
        Length that a text's gradient is shortened to.
    learning_rate : float, default=3e-5
        Of AdamW, which takes gradients of any size: the number of texts is not used.
    neighbouring, texts_per_user, budget, progress
        As for `DPAnchors`.

    Notes
    -----
    A text is in one batch an epoch and moves the sum of that batch by at most `clip` (replaced by
    another: by at most ``2 · clip``), and batches share no texts. So E epochs with noise
    ``σ · clip`` are one Gaussian mechanism with ``μ = √E / σ``, exactly; `PrivacyBudget` adds it
    to other spending. Sampling batches anew for each step would need less noise, but its cost has
    no exact sum with that of the other mechanisms. Each text is read alone, as its gradient's last
    bits would otherwise depend on the texts beside it; that is slow.

    References
    ----------
    Abadi et al., "Deep learning with differential privacy", CCS 2016, algorithm 1.
    Dong, Roth & Su, "Gaussian differential privacy", arXiv 1905.02383, corollary 3.3.

    Examples
    --------
    >>> DPProjector(4.0, 1e-4).guarantee().not_covered
    'texts decoded with it from vectors of private texts'
    """

    def __init__(
        self,
        epsilon: float,
        delta: float,
        *,
        bridge: str | Path = "default",
        encoder: Any = None,
        llm: str = DEFAULT_LLM,
        epochs: int = 2,
        n_batches: int = 10,
        clip: float = 0.1,
        learning_rate: float = 3e-5,
        neighbouring: Neighbouring = "add_or_remove",
        texts_per_user: int | None = None,
        budget: PrivacyBudget | None = None,
        progress: bool = True,
    ) -> None:
        check(epsilon, delta)
        check_whole(epochs=epochs, n_batches=n_batches)
        if texts_per_user is not None:
            check_whole(texts_per_user=texts_per_user)
        for name, size in {"clip": clip, "learning_rate": learning_rate}.items():
            if not 0 < size < math.inf:
                msg = f"{name} must be above 0, got {size!r}."
                raise ParameterError(msg)
        self.epsilon, self.delta = epsilon, delta
        self.bridge, self.encoder, self.llm = bridge, encoder, llm
        self.epochs, self.n_batches = epochs, n_batches
        self.clip, self.learning_rate = clip, learning_rate
        self.neighbouring: Neighbouring = neighbouring
        self.texts_per_user = texts_per_user
        self.budget, self.progress = budget, progress
        self.guarantee()  # refuses what it cannot state

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise of a step, in the gradients' own unit."""
        change = (2 if self.neighbouring == "replace" else 1) * (self.texts_per_user or 1)
        return change * self.clip * math.sqrt(self.epochs) / mu_of(self.epsilon, self.delta)

    def guarantee(self) -> Guarantee:
        """Return what this training guarantees about the bridge, or would.

        Of a bridge that starts from another one of private texts, the card and the facts state both
        trainings together.
        """
        return self._promised if hasattr(self, "_promised") else self._promise()

    def _promise(self) -> Guarantee:
        return Guarantee(
            self.epsilon,
            self.delta,
            self.neighbouring,
            "text" if self.texts_per_user is None else "user",
            self.texts_per_user,
            (*PUBLIC, "the bridge it starts from, with its words and LoRA"),
            f"DPProjector from {self.bridge}, {self.epochs} epochs of {self.n_batches} batches",
            mu_of(self.epsilon, self.delta),
            not_covered="texts decoded with it from vectors of private texts",
        )

    def fit(
        self,
        texts: Sequence[str],
        out: str | Path,
        *,
        users: Sequence[Any] | None = None,
        public: Sequence[str] = (),
    ) -> Bridge:
        """Train, and save the bridge.

        Parameters
        ----------
        texts : sequence of str
            Private.
        out : str or Path
            Folder for the bridge. It may be shared, under the guarantee that its card states.
        users : sequence of length n, optional
            Whose each text is; needed where `texts_per_user` is set.
        public : sequence of str, optional
            Texts of the same kind that may be known: what the bridge gains is measured on them,
            since a loss on the private ones would have to be paid for.

        Returns
        -------
        Bridge

        Raises
        ------
        BudgetError
            If the budget does not cover it. Nothing was trained then.
        ParameterError
            If it was fitted before and there is no budget to count with, or `out` cannot be written
            to or holds other files than a bridge's, or the encoder refuses long texts.
        KeyboardInterrupt
            After what was trained so far is saved, if a step was made: fewer steps are covered all
            the same.
        """
        if hasattr(self, "_promised") and self.budget is None:
            msg = (
                "This mechanism has trained once: a second time would cost its ε again. Make it "
                "with budget=PrivacyBudget(…), which counts."
            )
            raise ParameterError(msg)
        public = [encodable(text) for text in plain_texts(public, "public")]
        texts = plain_texts(texts, "texts")
        given = read_private(texts, [0] * len(texts), users, self.texts_per_user).texts
        start = load_bridge(self.bridge)
        _check_folder(Path(out), _OWN | ({"words.txt"} if start.facts.n_words else set()))
        encoder = self.encoder or BertEncoder()
        model, tokenizer = load_llm(self.llm, device="cpu")
        hidden = model.get_input_embeddings().weight.shape[1]
        start.check(encoder.fingerprint, encoder.dim, fingerprint(self.llm), hidden)
        recipe = BridgeRecipe(
            start.facts.n_words, rank=0, learning_rate=self.learning_rate, warmup=0
        )
        end = end_tokens(self.llm, model, tokenizer)[0]
        with start.lora.applied(model) if start.lora else nullcontext():
            trainer = BridgeTrainer(model, start, recipe, end)
            before = _measured(trainer, public, encoder, tokenizer)
            rows = _batch(given, encoded_alone(encoder, given, progress=self.progress), tokenizer)
            promised = replace(self._promise(), release=secrets.token_hex(8))
            stated = stated_with(promised, start)
            if self.budget is not None:  # once all that may fail has not
                self.budget.spend(promised, promised.mechanism, name=promised.release)
            self._promised = promised
            try:
                self._train(trainer, rows)
            finally:
                if trainer.optimizer.state:  # a step was made
                    after = _measured(trainer, public, encoder, tokenizer)
                    told = {"public_loss_before": before, "public_loss_after": after}
                    _save(start, Path(out), stated, told if public else {})
        return start

    def _train(self, trainer: BridgeTrainer, rows: Batch) -> None:
        total = self.epochs * len(rows.ids)
        bar = tqdm(total=total, disable=not self.progress, bar_format=SHARE_ONLY, leave=False)
        with bar:
            for _ in range(self.epochs):
                place = _lots(len(rows.ids), self.n_batches)
                for number in range(self.n_batches):
                    inside = np.flatnonzero(place == number).tolist()
                    gradients = (_gradient(trainer, rows, row) for row in inside)
                    self._step(trainer, _counted(gradients, bar))
        trainer.bridge.eval()

    def _step(self, trainer: BridgeTrainer, gradients: Iterator[np.ndarray]) -> None:
        """Add up the gradients of a batch, add noise, and make a step of it."""
        size = sum(parameter.numel() for parameter in trainer.parameters)
        rows = (gradient[None] for gradient in gradients)
        total = noisy_sum(rows, (1, size), clip=self.clip, sigma=self.sigma)
        noisy = torch.from_numpy(total[0].astype(np.float32))
        start = 0
        for parameter in trainer.parameters:
            parameter.grad = noisy[start : start + parameter.numel()].view_as(parameter)
            start += parameter.numel()
        trainer.optimizer.step()
        trainer.optimizer.zero_grad(set_to_none=True)


def noisy_sum(
    gradients: Iterable[np.ndarray], shape: tuple[int, int], *, clip: float, sigma: float
) -> np.ndarray:
    """Return what a step releases: the sum of clipped gradients, with noise.

    Parameters
    ----------
    gradients : iterable of ndarray of shape (batches, weights)
        One text's in each row: the rows are batches of their own, and training has one.
    shape : tuple
        ``(batches, weights)``.
    clip : float
    sigma : float

    Returns
    -------
    ndarray of float64, shape (batches, weights)

    Examples
    --------
    >>> rows = [np.array([[3.0, 4.0]]), np.array([[0.0, 0.5]])]
    >>> noisy_sum(rows, (1, 2), clip=1.0, sigma=1e-9).round(3).tolist()
    [[0.6, 1.3]]
    """
    step = min(sigma / GRID, clip / _FINE)
    total = np.zeros(shape, np.int64)
    for rows in gradients:
        total += on_grid(rows, step, clip)
    return add_noise(total, step, sigma)


def _check_folder(out: Path, own: set[str]) -> None:
    """Refuse a folder that a bridge cannot be saved in; one that is not there stays so.

    So is one with files that are not written anew: they would be shared with the bridge, and
    `train-bridge` leaves vectors of its texts.
    """
    new = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
        if new:
            out.rmdir()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        msg = f"The folder {out} cannot be written to ({reason}): give another one as out."
        raise ParameterError(msg) from error
    others = set() if new else {path.name for path in out.iterdir()} - own
    if others:
        msg = (
            f"The folder {out} holds other files ({', '.join(sorted(others)[:3])}), which would be "
            "shared with the bridge: give an empty one as out."
        )
        raise ParameterError(msg)


def _save(bridge: Bridge, out: Path, stated: dict[str, Any], told: dict[str, float]) -> None:
    """Save the bridge with its guarantee; nothing else that was seen in training."""
    bridge.facts = replace(bridge.facts, training=told | {"guarantee": stated})
    bridge.save(out)
    write_card(bridge, out, corpus=["private texts, under the guarantee below"])


def _lots(n: int, n_batches: int) -> np.ndarray:
    """Draw a batch for each text, independent of the others, from the system's entropy."""
    words = np.frombuffer(os.urandom(8 * n), np.uint64)
    return (words % np.uint64(n_batches)).astype(np.int64)


def _batch(texts: Sequence[str], vectors: np.ndarray, tokenizer: Any) -> Batch:
    # verbose: it would log how long a text is
    ids = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    cut = [np.asarray(row[:_MOST_TOKENS], np.int32) for row in ids]
    return Batch.of(texts, vectors, cut, split_words)


def _gradient(trainer: BridgeTrainer, rows: Batch, row: int) -> np.ndarray:
    """Return the gradient of one text's mean loss a token, as float32 (number of weights,)."""
    vector = torch.from_numpy(rows.vectors[row : row + 1])
    total, tokens = trainer.loss_of(vector, [rows.ids[row]], None, rows.hints[row : row + 1])
    found = torch.autograd.grad(total / tokens, trainer.parameters, allow_unused=True)
    flat = [
        torch.zeros(parameter.numel()) if each is None else each.reshape(-1).float()
        for each, parameter in zip(found, trainer.parameters, strict=True)
    ]
    return torch.cat(flat).numpy()


def _counted(gradients: Iterator[np.ndarray], bar: Any) -> Iterator[np.ndarray]:
    for gradient in gradients:
        yield gradient
        bar.update()


def _measured(trainer: BridgeTrainer, public: Sequence[str], encoder: Any, tokenizer: Any) -> float:
    if not public:
        return math.nan
    batch = _batch(public, encoder.encode(list(public)), tokenizer)
    places = [slice(i, i + 32) for i in range(0, len(public), 32)]
    return trainer.loss_on(Batch(batch.vectors[p], batch.ids[p], batch.hints[p]) for p in places)
