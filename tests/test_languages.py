"""Other languages, as docs/languages.md leads through them: corpus, bridge, new texts, report.

With small random models; what is judged is that each step takes the script as it is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from smotext_lab import BertEncoder, SMOTExT, XRAGDecoder, load_bridge, run_report
from smotext_lab.bridges import LexicalBridge
from smotext_lab.training import train_bridge
from smotext_lab.training.lexical import LexicalRecipe
from smotext_lab.training.trainer import BridgeRecipe


@dataclass(frozen=True)
class Language:
    """Sentences are one of each part, put together with `glue`."""

    parts: dict[str, list[list[str]]]
    glue: str
    end: str
    word: str
    letters: str

    def sentences(self, n: int) -> pd.DataFrame:
        rng = np.random.default_rng(0)
        labels = rng.choice(list(self.parts), n)
        texts = [self.glue.join(rng.choice(part) for part in self.parts[k]) for k in labels]
        return pd.DataFrame({"text": [text + self.end for text in texts], "label": labels})


POLISH = Language(
    {
        "pogoda": [
            ["Jutro", "Dziś", "Wieczorem"],
            ["będzie", "spodziewany jest", "prognozują"],
            ["śnieg", "gęsta mgła", "łagodny wiatr", "ulewny deszcz"],
            ["w Łodzi", "nad jeziorem", "w górach"],
        ],
        "sport": [
            ["Drużyna", "Nasza reprezentacja", "Młoda zawodniczka"],
            ["zdobyła", "świętuje", "straciła"],
            ["puchar", "źle strzeloną bramkę", "mistrzostwo", "cenny punkt"],
            ["w meczu", "po dogrywce", "na wyjeździe"],
        ],
    },
    glue=" ",
    end=".",
    word="śnieg",
    letters="ąćęłńóśźż",
)
JAPANESE = Language(
    {
        "天気": [
            ["明日", "今日", "夜"],
            ["は東京で", "は大阪で", "は山で"],
            ["雪", "霧", "強風", "大雨"],
            ["が降る", "になる", "の予報"],
        ],
        "野球": [
            ["チーム", "ピッチャー", "監督"],
            ["は試合で", "は決勝で", "は延長で"],
            ["優勝", "勝利", "敗北", "一点"],
            ["を喜ぶ", "を語る", "を待つ"],
        ],
    },
    glue="",
    end="。",
    word="東京",
    letters="東京大阪雪霧風雨試合決勝延長チームピッチャー監督",
)


@pytest.fixture(params=[POLISH, JAPANESE], ids=["Polish", "Japanese"])
def language(request: pytest.FixtureRequest) -> Language:
    return request.param


def encoder_of(folder: Path, texts: list[str]) -> str:
    """Save a random BERT that reads letters: any script, capitals and accents kept."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir()
    letters = sorted(set("".join(texts)) - {" "})
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + x for x in letters)]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=len(words), intermediate_size=32, **shape)).save_pretrained(
        folder
    )
    as_written = {"do_lower_case": False, "strip_accents": False, "tokenize_chinese_chars": False}
    BertTokenizerFast(str(folder / "vocab.txt"), **as_written).save_pretrained(folder)
    return str(folder)


def llm_of(folder: Path, texts: list[str]) -> str:
    """Save a random Llama whose tokens are pieces of UTF-8, as those of large models are."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    pieces = ByteLevelBPETokenizer()
    pieces.train_from_iterator(texts, 700, special_tokens=["<end>"])
    ends = {"eos_token": "<end>", "pad_token": "<end>"}
    PreTrainedTokenizerFast(tokenizer_object=pieces._tokenizer, **ends).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    numbers = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    config = LlamaConfig(vocab_size=700, intermediate_size=64, **shape, **numbers)
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


def test_from_corpus_to_report(language: Language, tmp_path: Path) -> None:
    rows = language.sentences(300)
    texts = rows["text"].tolist()
    corpus = tmp_path / "corpus.jsonl"
    lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts]
    corpus.write_text("".join(lines), encoding="utf-8")
    encoder, llm = encoder_of(tmp_path / "encoder", texts), llm_of(tmp_path / "llm", texts)

    bridge = train_bridge(
        [corpus],
        out=tmp_path / "bridge",
        encoder=encoder,
        llm=llm,
        recipe=BridgeRecipe(
            n_words=4,
            n_learnt=2,
            rank=8,
            last_layers=None,
            batch_size=16,
            steps=120,
            warmup=5,
            learning_rate=0.01,
        ),
        lexical=LexicalRecipe(epochs=10, batch_size=32),
    )
    assert isinstance(bridge, LexicalBridge)
    assert language.word in bridge.words
    training = bridge.facts.training
    assert training["unseen_loss"] < training["start_loss"] - 0.2

    few = rows.groupby("label").head(12)
    decoder = XRAGDecoder(
        llm, load_bridge(tmp_path / "bridge"), encoder=BertEncoder(encoder), max_new_tokens=40
    )
    sampler = SMOTExT(decoder=decoder, guards=False, random_state=0, progress=False)
    new = sampler.generate(few["text"], few["label"], n=8).accepted
    written = "".join(new["text"])
    assert sum(letter in language.letters for letter in written) > 8
    assert set(new["label"]) == set(rows["label"])

    few.to_csv(tmp_path / "few.csv", index=False)
    report = run_report(
        "qualitative",
        {
            "dataset": str(tmp_path / "few.csv"),
            "encoder": encoder,
            "llm": llm,
            "bridge": str(tmp_path / "bridge"),
            "n": 1,
            "steps": 3,
            "new_per_class": 1,
            "n_candidates": 1,
        },
        out=tmp_path / "out",
    )
    page = report.html.read_text("utf-8")
    assert all(label in page for label in language.parts)
    assert any(text in page for text in few["text"])
