"""`train_bridge`: from sentences to a saved bridge, in stages that can be stopped."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from smotext_lab.bridges import (
    Bridge,
    BridgeFacts,
    LexicalBridge,
    ProjectorBridge,
    split_words,
)
from smotext_lab.encoders import Encoder
from smotext_lab.errors import BridgeError, DataError, ModelError, ParameterError
from smotext_lab.models import DEFAULT_LLM
from smotext_lab.training.bounds import check_run
from smotext_lab.training.card import licence_of, write_card
from smotext_lab.training.checkpoints import load_checkpoint, save_checkpoint
from smotext_lab.training.corpus import encode_corpus, read_corpus
from smotext_lab.training.folder import check_folder
from smotext_lab.training.given import Ends, Texts, start_bridge
from smotext_lab.training.lexical import HeadTrainer, LexicalRecipe, recall_at
from smotext_lab.training.log import TrainingLog
from smotext_lab.training.stage import TokenStage
from smotext_lab.training.trainer import BridgeRecipe
from smotext_lab.training.words import Lexicon, build_lexicon, word_ids

__all__ = ["train_bridge"]


def train_bridge(
    corpus: Sequence[str | Path],
    *,
    out: str | Path,
    encoder: str | os.PathLike[str] | Encoder = "all-MiniLM-L6-v2",
    llm: str | os.PathLike[str] = DEFAULT_LLM,
    kind: str | None = None,
    recipe: BridgeRecipe | None = None,
    lexical: LexicalRecipe | None = None,
    minutes: float | None = None,
    start_from: str | Path | None = None,
    text: str = "text",
    checkpoint_minutes: float = 4.0,
    random_state: int = 0,
    split: Callable[[str], list[str]] = split_words,
) -> Bridge:
    """Train a bridge between an encoder and an LLM.

    The corpus is encoded once; the lexical head learns which words a vector stands for;
    then the learnt tokens and a LoRA learn to make the frozen LLM write the text. Run it
    again with the same arguments and it goes on from its last checkpoint.

    Parameters
    ----------
    corpus : sequence of path
        See `read_corpus`.
    out : path
        Folder for the bridge; what is needed to go on lies in ``out/work``.
    encoder, llm : str or path
        Registered names, local folders, or hub ids; `encoder` may be an `Encoder`.
    kind : {"lexical", "mlp2x_gelu"}, optional
        By default that of the bridge to start from, else ``"lexical"``. ``"mlp2x_gelu"`` is xRAG's
        projector: one token, and no LoRA unless `recipe` has one.
    recipe : BridgeRecipe, optional
        By default one with the shape of the bridge to start from, if there is one.
    lexical : LexicalRecipe, optional
    minutes : float, optional
        Time for the last stage alone; sets ``recipe.steps`` by the speed of its first steps.
    start_from : path or "default", optional
        A saved bridge to begin from: its words, head, tokens and LoRA, with a new optimiser.
        So the bridge that ships is fitted to texts of one's own; ``facts.training`` has it as
        ``from``.
    text : str, default="text"
        Column of the corpus files.
    checkpoint_minutes : float, default=4
    random_state : int, default=0
    split : callable, default=split_words
        How a text is cut into words, for languages that write without spaces: a bridge with words
        of its own cutting is loaded with it too, ``load_bridge(out, split=split)``.

    Returns
    -------
    Bridge
        Also saved in `out`, with ``README.md`` (its card), ``log.jsonl`` and ``log.svg``.
        ``facts.training`` has the loss before (``start_loss``) and after (``unseen_loss``) on
        held-back texts by which nothing was chosen, and the standard error of their difference.

    Raises
    ------
    DataError, ModelError, BridgeError, ParameterError
        Where the corpus, the models or the numbers cannot be used.

    References
    ----------
    .. [1] Cheng et al., "xRAG", arXiv 2405.13792, section 3.3.
    .. [2] Hu et al., "LoRA", arXiv 2106.09685, section 4.
    """
    check_run(minutes, checkpoint_minutes, random_state)
    start = None if start_from is None else start_bridge(start_from, out, split)
    check_folder(Path(out))
    licence = "" if start is None else licence_of(start)
    kind, recipe = _shape(kind, recipe, start)
    out, pause = Path(out), 60 * checkpoint_minutes
    ends = Ends.load(encoder, llm)
    texts = read_corpus(corpus, text)
    if len(texts) < 2 * recipe.batch_size:
        msg = (
            f"the corpus holds {len(texts)} texts; a bridge needs at least "
            f"{2 * recipe.batch_size} (two batches), and is of use from some ten thousand on"
        )
        raise DataError(msg)
    data, lexical = Texts.divided(texts, random_state), lexical or LexicalRecipe()
    torch.manual_seed(random_state)  # initial weights
    bridge: Bridge
    if start is not None:
        bridge = _continued(start, ends.facts(kind, recipe), recipe)
    elif kind == "mlp2x_gelu":
        bridge = ProjectorBridge(ends.facts(kind, recipe))
    else:
        bridge = _lexical_bridge(ends.facts(kind, recipe), data, ends, split)
    log = TrainingLog(out)
    stage = TokenStage(
        data,
        ends,
        bridge=bridge,
        recipe=recipe,
        log=log,
        pause=pause,
        head=f"words {_digest(getattr(bridge, 'words', ()))}, {lexical}",
        random_state=random_state,
    )
    with stage.alone():
        vectors = encode_corpus(texts, ends.encoder, out / "work")
        if start is None and isinstance(bridge, LexicalBridge):
            _scale(bridge, vectors, ends)
            _train_head(
                bridge,
                data,
                ends,
                lexical,
                vectors=vectors,
                log=log,
                pause=pause,
                random_state=random_state,
            )
        trained = stage.train(vectors, minutes)
        write_card(trained, out, corpus=[Path(p).name for p in corpus], licence=licence)
    return trained


def _shape(
    kind: str | None, recipe: BridgeRecipe | None, start: Bridge | None
) -> tuple[str, BridgeRecipe]:
    """Return what is asked for; what is left open is as in the bridge to start from."""
    kind = kind or (start.facts.kind if start else "lexical")
    if kind not in ("lexical", "mlp2x_gelu"):
        msg = f"kind must be 'lexical' or 'mlp2x_gelu', not {kind!r}"
        raise ParameterError(msg)
    if recipe is None:
        recipe = BridgeRecipe() if kind == "lexical" else BridgeRecipe(rank=0)
        recipe = recipe.fitting(start) if start else recipe
    return kind, replace(recipe, n_words=0, n_learnt=1) if kind == "mlp2x_gelu" else recipe


def _continued(bridge: Bridge, wanted: BridgeFacts, recipe: BridgeRecipe) -> Bridge:
    bridge.check(wanted.encoder, wanted.dim, wanted.llm, wanted.hidden)
    shape = ("kind", "n_tokens", "n_words")
    pairs = {name: (getattr(bridge.facts, name), getattr(wanted, name)) for name in shape}
    if bridge.lora is not None:  # one that has none may get one
        pairs["rank"] = (bridge.lora.rank, recipe.rank)
        pairs["last_layers"] = (bridge.lora.last_layers, recipe.last_layers)
        pairs["lora_scale"] = (bridge.lora.scale, recipe.lora_scale)
    for name, (has, asked) in pairs.items():
        if has != asked:
            msg = (
                f"the bridge to start from has {name} = {has}, the recipe {asked}; give the "
                f"recipe the same"
            )
            raise BridgeError(msg)
    return bridge


def _digest(words: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]


def _lexical_bridge(
    facts: BridgeFacts, data: Texts, ends: Ends, split: Callable[[str], list[str]]
) -> LexicalBridge:
    lexicon = build_lexicon((data.texts[i] for i in data.train), split)
    inside = [" " + word for word in lexicon.words]
    pieces = ends.tokenizer(inside, add_special_tokens=False)["input_ids"]
    ends.check_tokens(pieces)
    there = np.array([bool(ids) for ids in pieces])  # the LLM may not know a script at all
    words = [word for word, known in zip(lexicon.words, there, strict=True) if known]
    if not words:
        msg = f"{ends.llm} has no token for any word of the corpus: choose an LLM of its language"
        raise ModelError(msg)
    lexicon = Lexicon(tuple(words), lexicon.prior[there])
    pieces = [ids for ids in pieces if ids]
    bridge = LexicalBridge(facts, lexicon.words, pieces, split=split)
    with torch.no_grad():
        prior = torch.from_numpy(lexicon.prior)
        bridge.head.prior.copy_(prior)
        bridge.head.bias.copy_(prior)
    return bridge


@torch.no_grad()
def _scale(bridge: LexicalBridge, vectors: np.ndarray, ends: Ends) -> None:
    """Let learnt tokens begin at the size of the LLM's own embeddings."""
    some = torch.from_numpy(np.asarray(vectors[:512], np.float32))
    made = bridge.projector(some * some.shape[1] ** 0.5)
    size = ends.model.get_input_embeddings().weight.float().std()
    if made.numel():
        cast("nn.Linear", bridge.projector[2]).weight.mul_(size / made.std())


def _train_head(
    bridge: LexicalBridge,
    data: Texts,
    ends: Ends,
    recipe: LexicalRecipe,
    *,
    vectors: np.ndarray,
    log: TrainingLog,
    pause: float,
    random_state: int,
) -> None:
    """Train the head, or take the one that an earlier run of the same has finished."""
    path = log.folder / "work" / "head.safetensors"
    own = asdict(recipe) | {"given": data.key(ends), "seed": random_state}
    own |= {"words": _digest(bridge.words)}
    tensors, known = _left(path)
    if known == own:
        bridge.head.load_state_dict(tensors)
        return
    rows = ends.encoder.encode(list(bridge.words))
    with torch.no_grad():  # a word begins where the encoder puts it
        bridge.head.words.copy_(torch.from_numpy(rows - rows.mean(axis=0)))
    lexicon = Lexicon(bridge.words, bridge.head.prior.numpy())
    train, unseen = data.train, data.unseen
    words = word_ids([data.texts[i] for i in train], lexicon, bridge.split)
    trainer = HeadTrainer(bridge.head, vectors, train, words, recipe, random_state=random_state)
    _head_steps(trainer, path.with_name("head-part.safetensors"), own, log=log, pause=pause)
    held = word_ids([data.texts[i] for i in unseen], lexicon, bridge.split)
    recall = {f"recall_at_{k}": recall_at(bridge.head, vectors[unseen], held, k) for k in (8, 16)}
    log.write(stage="words", **recall)
    save_checkpoint(path, bridge.head.state_dict(), own)
    path.with_name("head-part.safetensors").unlink(missing_ok=True)


def _left(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return what an earlier run has left; nothing where it is not whole."""
    try:
        return load_checkpoint(path)
    except ModelError:
        return {}, {}


def _head_steps(
    trainer: HeadTrainer, path: Path, own: dict[str, Any], *, log: TrainingLog, pause: float
) -> None:
    """Take the steps that are left; what there is lies in `path` every `pause` seconds."""
    tensors, known = _left(path)
    if known.get("own") == own:
        trainer.load(tensors, known["step"])
        tqdm.write(f"words: going on from step {trainer.step}", sys.stderr)

    def save() -> None:
        save_checkpoint(path, trainer.tensors(), {"own": own, "step": trainer.step})

    losses: list[float] = []
    saved = time.monotonic()
    with tqdm(total=trainer.steps, initial=trainer.step, desc="words", unit="step") as bar:
        try:
            while trainer.step < trainer.steps:
                losses.append(trainer.train_step())
                bar.update()
                if trainer.step % 20 == 0:
                    mean = float(np.mean(losses[-20:]))
                    log.write(stage="words", step=trainer.step, loss=mean)
                if time.monotonic() - saved > pause:
                    save()
                    saved = time.monotonic()
        except KeyboardInterrupt:
            save()
            raise
