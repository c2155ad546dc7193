"""A small student: a linear layer on the mean of word vectors, learnt from the texts at hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from smotext_lab.evaluation.finetuning import batches
from smotext_lab.evaluation.training import TrainingTexts

__all__ = ["BagOfEmbeddings"]

_WORDS = re.compile(r"\w+|[?!]")  # marks are words too: a question is known by its mark


class BagOfEmbeddings:
    """Classes from the mean of a text's word vectors, which are trained with them.

    ``softmax(W · (1/m) Σ v(w_i) + b)`` over the m words, in lower case, that the training texts
    hold; a text without any is judged by ``b``, by about the shares of the classes. While
    training, words are left out at random, so that no single one decides.

    The number of optimiser steps is fixed, as `FinetunedBert`'s, and for the same reason.

    Parameters
    ----------
    dim : int, default=64
        Of the word vectors.
    steps : int, default=200
    batch_size : int, default=32
    learning_rate : float, default=0.02
        AdamW's, falling linearly to 0.
    word_dropout : float, default=0.3
        Chance that a word of a text is left out at a step.
    random_state : int, default=0

    References
    ----------
    .. [1] Iyyer et al., "Deep unordered composition rivals syntactic methods for text
       classification", ACL 2015: the mean of word vectors, and word dropout of 0.3.
    .. [2] Joulin et al., "Bag of tricks for efficient text classification", arXiv 1607.01759:
       no layer between the mean and the classes is needed.

    Examples
    --------
    >>> train = TrainingTexts(["rain and snow", "more rain", "a goal"], np.array(["w", "w", "s"]))
    >>> model = BagOfEmbeddings(steps=50)
    >>> model.fit(train, np.array(["s", "w"]))
    >>> model.predict_proba(["snow", "the goal"]).argmax(axis=1)
    array([1, 0])
    """

    reads_points, reads_weights = False, True

    def __init__(
        self,
        *,
        dim: int = 64,
        steps: int = 200,
        batch_size: int = 32,
        learning_rate: float = 0.02,
        word_dropout: float = 0.3,
        random_state: int = 0,
    ) -> None:
        self.dim = dim
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.word_dropout = word_dropout
        self.random_state = random_state

    def fit(self, train: TrainingTexts, classes: np.ndarray) -> None:
        """Learn from texts, their weights and their soft labels."""
        import torch

        split = [_WORDS.findall(text.lower()) for text in train.texts]
        known = sorted({word for words in split for word in words})
        self._known = {word: number for number, word in enumerate(known)}
        with torch.random.fork_rng(devices=[]):  # layers and dropout draw from the global stream
            torch.manual_seed(self.random_state)
            self._vectors = torch.nn.EmbeddingBag(max(1, len(known)), self.dim, mode="mean")
            # small, so that what a word is not taught says little
            torch.nn.init.normal_(self._vectors.weight, std=0.1)
            self._head = torch.nn.Linear(self.dim, len(classes))
            self._train(train, classes)

    def _train(self, train: TrainingTexts, classes: np.ndarray) -> None:
        import torch

        target = torch.from_numpy(train.targets(classes)).float()
        weights = torch.from_numpy(train.weights_or_ones()).float()
        learnt = [*self._vectors.parameters(), *self._head.parameters()]
        optimizer = torch.optim.AdamW(learnt, lr=self.learning_rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / self.steps)
        numbers = self._numbers(train.texts)
        for rows in batches(len(train), self.batch_size, self.steps, self.random_state):
            logits = self._logits([numbers[row] for row in rows], self.word_dropout)
            loss = torch.nn.functional.cross_entropy(logits, target[rows], reduction="none")
            (loss * weights[rows]).mean().backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Return probabilities, float64 (n, n_classes)."""
        import torch

        with torch.inference_mode():
            found: np.ndarray = self._logits(self._numbers(texts)).double().softmax(dim=1).numpy()
        return found

    def _numbers(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's known words, as rows of the vectors."""
        known = self._known
        split = (_WORDS.findall(text.lower()) for text in texts)
        return [[known[word] for word in words if word in known] for words in split]

    def _logits(self, numbers: list[list[int]], dropout: float = 0.0) -> Any:
        import torch

        words = torch.tensor([number for row in numbers for number in row], dtype=torch.long)
        sizes = torch.tensor([len(row) for row in numbers], dtype=torch.long)
        text = torch.repeat_interleave(torch.arange(len(numbers)), sizes)
        if dropout:
            kept = torch.rand(len(words)) >= dropout
            words, text = words[kept], text[kept]
            sizes = torch.bincount(text, minlength=len(numbers))
        return self._head(self._vectors(words, sizes.cumsum(0) - sizes))
