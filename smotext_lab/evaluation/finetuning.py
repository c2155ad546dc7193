"""A BERT fine-tuned on few texts, for the same number of steps whatever their number."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from smotext_lab.errors import DataError
from smotext_lab.evaluation.training import TrainingTexts
from smotext_lab.machine import has_bf16
from smotext_lab.models import DEFAULT_ENCODER

__all__ = ["FinetunedBert", "batches"]


class FinetunedBert:
    """An encoder with a linear head on its mean vector, both trained.

    The table of word vectors stays as it is: few texts touch few of its rows, weight decay would
    pull at all of them, and with it a step moves twice as many weights.

    The number of optimiser steps is fixed, so that more training texts are not also longer
    training: gains of augmentation that come from steps alone would vanish.

    Parameters
    ----------
    encoder : str
        As for `load_encoder_model`.
    steps : int, default=120
    batch_size : int, default=16
    learning_rate : float, default=1e-4
        AdamW's for the encoder, warmed up over a tenth of the steps, then linear to 0; ten
        times as much for the head.
    max_length : int, default=64
        Tokens of a text that are read.
    random_state : int, default=0

    References
    ----------
    .. [1] Mosbach, Andriushchenko and Klakow, "On the stability of fine-tuning BERT",
       ICLR 2021: small learning rates with warm-up, and enough steps.

    Examples
    --------
    >>> FinetunedBert(steps=10).steps
    10
    """

    reads_points, reads_weights = False, True

    def __init__(
        self,
        encoder: str = DEFAULT_ENCODER,
        *,
        steps: int = 120,
        batch_size: int = 16,
        learning_rate: float = 1e-4,
        max_length: int = 64,
        random_state: int = 0,
    ) -> None:
        self.encoder = encoder
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.max_length = max_length
        self.random_state = random_state

    def fit(self, train: TrainingTexts, classes: np.ndarray) -> None:
        """Learn from texts, their weights and their soft labels."""
        import copy

        import torch

        start, self._tokenizer = _pretrained(self.encoder)
        with torch.random.fork_rng(devices=[]):  # dropout draws from the global stream
            torch.manual_seed(self.random_state)
            self._body = copy.deepcopy(start).train()
            self._head = torch.nn.Linear(start.config.hidden_size, len(classes))
            self._train(train, classes)
        self._body.eval()

    def _train(self, train: TrainingTexts, classes: np.ndarray) -> None:
        import torch

        target = torch.from_numpy(train.targets(classes)).float()
        weights = torch.from_numpy(train.weights_or_ones()).float()
        self._body.get_input_embeddings().requires_grad_(False)
        learning = [weight for weight in self._body.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(
            [
                {"params": learning, "lr": self.learning_rate},
                {"params": self._head.parameters(), "lr": 10 * self.learning_rate},
            ],
            weight_decay=0.01,
            fused=True,
        )
        warm = max(1, self.steps // 10)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: min((step + 1) / warm, (self.steps - step) / max(1, self.steps - warm)),
        )
        for rows in batches(len(train), self.batch_size, self.steps, self.random_state):
            logits = self._logits([train.texts[row] for row in rows])
            loss = torch.nn.functional.cross_entropy(logits, target[rows], reduction="none")
            (loss * weights[rows]).mean().backward()
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Return probabilities, float64 (n, n_classes)."""
        import torch

        order = np.argsort([len(text) for text in texts], kind="stable")
        found = np.empty((len(texts), self._head.out_features))
        with torch.inference_mode():
            for start in range(0, len(texts), 64):
                rows = order[start : start + 64]
                logits = self._logits([texts[row] for row in rows])
                found[rows] = logits.double().softmax(dim=1).numpy()
        return found

    def _logits(self, texts: list[str]) -> Any:
        import torch

        read = self._tokenizer(
            texts, padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
        )
        # the weights stay float32: bfloat16 only where it is multiplied, and only if that is native
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16()):
            states = self._body(**read).last_hidden_state.float()
        mask = read["attention_mask"][..., None].float()
        return self._head((states * mask).sum(dim=1) / mask.sum(dim=1))


def batches(n: int, size: int, steps: int, random_state: int) -> Iterator[np.ndarray]:
    """Yield rows of `steps` batches, all texts once before any comes again.

    Raises
    ------
    DataError
        If there is no text.

    Examples
    --------
    >>> sorted(np.concatenate(list(batches(4, 2, 2, 0))).tolist())
    [0, 1, 2, 3]
    """
    if not n:
        msg = "a classifier needs training texts, and there are none"
        raise DataError(msg)
    rng = np.random.default_rng(random_state)
    waiting = np.empty(0, np.int64)
    for _ in range(steps):
        while len(waiting) < min(size, n):
            waiting = np.concatenate([waiting, rng.permutation(n)])
        rows, waiting = waiting[:size], waiting[size:]
        yield rows


@functools.lru_cache(maxsize=1)
def _pretrained(name: str) -> tuple[Any, Any]:
    from smotext_lab.models import load_encoder_model

    return load_encoder_model(name, "float32", "cpu")
