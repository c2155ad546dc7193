"""An xRAG reference checkpoint, small and random: our road equals a direct forward pass.

The reference (arXiv 2405.13792, section 3.2) projects the retrieved document's vector by a
two-layer MLP and puts it in the place of the token ``<xRAG>`` among the prompt's embeddings.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from transformers import MistralForCausalLM

from smotext_lab import SFREncoder, named_decoder, run_report
from smotext_lab.bridges import ProjectorBridge, load_bridge
from smotext_lab.decoders import XRAGDecoder
from smotext_lab.errors import BridgeError, ParameterError
from smotext_lab.identity import described, models_of, remade
from smotext_lab.reports import template_path, templates
from smotext_lab.xrag import INSTRUCTIONS, instruction_prompt

PROMPT = "rain {xrag} goal match"
DIM, HIDDEN = 20, 32
SHAPE = {
    "hidden_size": HIDDEN,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


class VectorEncoder:
    """Vectors of the retriever's length; not normalised, as xRAG's are."""

    name = "vectors"
    fingerprint = "vectors@1"
    dim = DIM

    def encode(self, texts: Any, *, progress: bool = False) -> np.ndarray:
        rng = np.random.default_rng(len(texts))
        return rng.normal(size=(len(texts), DIM)).astype(np.float32)


def saved(folder: Path, tiny_llm: Path, dim: int, ends: float = 1) -> Path:
    """Save a Mistral with a projector in one folder; the larger `ends`, the shorter its texts."""
    from safetensors.torch import save_file
    from tokenizers import AddedToken
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tiny_llm)
    tokenizer.add_tokens([AddedToken("<xRAG>", lstrip=False, rstrip=False)])
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=len(tokenizer),
        **SHAPE,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.eos_token_id,
    )
    model = MistralForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
        model.lm_head.weight[tokenizer.eos_token_id].mul_(ends)
    tensors = {k: v.contiguous() for k, v in model.state_dict().items()}
    shapes = {"0.weight": (HIDDEN, dim), "0.bias": (HIDDEN,)}
    shapes |= {"2.weight": (HIDDEN, HIDDEN), "2.bias": (HIDDEN,)}
    for name, shape in shapes.items():
        tensors[f"projector.projector.{name}"] = torch.randn(shape) * 0.3
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    written = config.to_dict() | {"retriever_hidden_size": dim, "projector_type": "mlp2x_gelu"}
    written["architectures"] = ["XMistralForCausalLM"]
    (folder / "config.json").write_text(json.dumps(written))
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, tiny_llm: Path) -> Path:
    return saved(tmp_path_factory.mktemp("models") / "xrag", tiny_llm, DIM)


@pytest.fixture(scope="module")
def direct(checkpoint: Path) -> Any:
    """Return a function from a vector to the reference's input embeddings."""
    from safetensors.torch import load_file
    from transformers import AutoTokenizer

    tensors = load_file(checkpoint / "model.safetensors")
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    ids = tokenizer(PROMPT.replace("{xrag}", "<xRAG>"))["input_ids"]
    place = ids.index(tokenizer.convert_tokens_to_ids("<xRAG>"))

    def embeds(vector: np.ndarray) -> torch.Tensor:
        rows = tensors["model.embed_tokens.weight"][torch.tensor(ids)].clone()
        first, second = (
            (
                tensors[f"projector.projector.{i}.weight"],
                tensors[f"projector.projector.{i}.bias"],
            )
            for i in (0, 2)
        )
        hidden = nn.functional.gelu(nn.functional.linear(torch.from_numpy(vector), *first))
        rows[place] = nn.functional.linear(hidden, *second)
        return rows[None]

    return embeds


def decoder(checkpoint: Path) -> XRAGDecoder:
    return XRAGDecoder(
        str(checkpoint),
        checkpoint,
        encoder=VectorEncoder(),
        prompt=PROMPT,
        temperature=0,
        n_candidates=1,
        max_new_tokens=10,
        dtype="float32",
    )


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(7).normal(size=(12, DIM)).astype(np.float32)


def test_the_projector_loads_from_the_reference_layout(checkpoint: Path) -> None:
    bridge = load_bridge(checkpoint)
    assert isinstance(bridge, ProjectorBridge)
    assert (bridge.facts.dim, bridge.facts.hidden, bridge.facts.n_tokens) == (DIM, HIDDEN, 1)


def test_logits_equal_the_direct_forward_pass(
    checkpoint: Path, direct: Any, vectors: np.ndarray
) -> None:
    parts = decoder(checkpoint)._writer()
    ours = parts.soft_tokens(torch.from_numpy(vectors))
    for row, vector in enumerate(vectors):
        expected = direct(vector)
        torch.testing.assert_close(ours[row : row + 1], expected, atol=1e-6, rtol=1e-5)
        with torch.inference_mode():
            torch.testing.assert_close(
                parts.model(inputs_embeds=ours[row : row + 1]).logits,
                parts.model(inputs_embeds=expected).logits,
                atol=1e-4,
                rtol=1e-4,
            )


def test_greedy_text_equals_generate_on_the_same_input(
    checkpoint: Path, direct: Any, vectors: np.ndarray
) -> None:
    ours = decoder(checkpoint)
    parts = ours._writer()
    texts = ours.decode(vectors)
    for vector, text in zip(vectors, texts, strict=True):
        inputs = direct(vector)
        ids = parts.model.generate(
            inputs_embeds=inputs,
            attention_mask=torch.ones(inputs.shape[:2], dtype=torch.int64),
            do_sample=False,
            max_new_tokens=10,
            pad_token_id=parts.tokenizer.eos_token_id,
        )[0]
        assert text == parts.tokenizer.decode(ids, skip_special_tokens=True).strip()
    assert len(set(texts)) > 1, "different documents must be read differently"


def test_directions_are_read_as_long_as_the_encoder_s_vectors(
    checkpoint: Path, vectors: np.ndarray
) -> None:
    class Longer(VectorEncoder):
        usual_length = 9.0

    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    short = decoder(checkpoint)
    ours = decoder(checkpoint)
    ours.encoder = Longer()
    expected = short.decode(directions * 9)
    assert ours.decode(directions) == ours.decode(directions * 9) == expected
    assert short.decode(directions) != expected


def test_a_checkpoint_without_its_projector_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    (tmp_path / "config.json").write_text((checkpoint / "config.json").read_text())
    tensors = load_file(checkpoint / "model.safetensors")
    rest = {name: t for name, t in tensors.items() if not name.startswith("projector.")}
    save_file(rest, tmp_path / "model.safetensors")
    with pytest.raises(BridgeError, match=r"has no projector\.projector\.0\.bias"):
        load_bridge(tmp_path)


def test_a_model_without_a_projector_is_refused(tiny_llm: Path) -> None:
    with pytest.raises(BridgeError, match="not an xRAG checkpoint"):
        load_bridge(tiny_llm)


def test_there_are_thirteen_instructions_with_one_place_each() -> None:
    assert len(INSTRUCTIONS) == 13
    assert all(text.count("{xrag}") == 1 for text in INSTRUCTIONS.values())
    with pytest.raises(ParameterError, match="did you mean 'essence'"):
        instruction_prompt("esence")


def test_a_checkpoint_is_read_with_its_projector_and_an_instruction(
    checkpoint: Path, vectors: np.ndarray
) -> None:
    settings = {"temperature": 0, "n_candidates": 1, "max_new_tokens": 10, "dtype": "float32"}
    made = XRAGDecoder.from_xrag(
        checkpoint, encoder=VectorEncoder(), instruction="also means", **settings
    )
    assert made.prompt == "[INST] Background: {xrag}, which also means: [/INST]"
    by_hand = XRAGDecoder(
        str(checkpoint), checkpoint, encoder=VectorEncoder(), prompt=made.prompt, **settings
    )
    assert made.decode(vectors) == by_hand.decode(vectors)


def test_a_checkpoint_of_the_hub_goes_by_its_name_and_is_read_by_an_encoder_of_its_kind(
    tmp_path: Path, tiny_llm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {"an/xrag": saved(tmp_path / "here", tiny_llm, dim=HIDDEN)}
    monkeypatch.setattr("smotext_lab.models.weights.from_hub", lambda where, **_: places[where])
    encoder = SFREncoder("an/xrag", dtype="float32")
    settings = {"temperature": 0, "n_candidates": 1, "max_new_tokens": 10, "dtype": "float32"}
    made = XRAGDecoder.from_xrag("an/xrag", encoder=encoder, **settings)
    vectors = encoder.encode(["rain snow", "goal match team", "bank rate"])
    texts = made.decode(vectors)
    assert len(set(texts)) > 1
    told = json.dumps(described(made))
    (tmp_path / "another machine").mkdir()
    places["an/xrag"] = places["an/xrag"].rename(tmp_path / "another machine" / "here")
    again = remade(json.loads(told))
    assert again.decode(vectors) == texts
    assert models_of(again) == models_of(made)


def test_reports_name_the_paper_s_models_by_one_word(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr("smotext_lab.models.say_needs", lambda *names: asked.append(names))
    monkeypatch.setattr("smotext_lab.models.model_path", lambda _: tmp_path)  # it fetches 15 GB
    named = named_decoder("xrag-7b", n_candidates=2)
    assert asked == [("Hannibal046/xrag-7b", "Salesforce/SFR-Embedding-Mistral")]
    assert isinstance(named.encoder, SFREncoder)
    assert named.llm == "Hannibal046/xrag-7b"
    assert named.prompt == instruction_prompt("means the same")
    assert named.n_candidates == 2


def test_a_report_runs_with_a_checkpoint_of_that_layout(
    tmp_path: Path, tiny_llm: Path, tiny_encoder: Path, topics: Any
) -> None:
    folder = saved(tmp_path / "xrag", tiny_llm, dim=16)
    texts, labels = topics(money=6, sport=6)
    pd.DataFrame({"text": texts, "label": labels}).to_csv(tmp_path / "few.csv", index=False)
    given = {"dataset": str(tmp_path / "few.csv"), "models": str(folder)}
    small = {"n": 1, "steps": 3, "new_per_class": 1, "n_candidates": 1, "max_new_tokens": 8}
    report = run_report(
        "qualitative",
        {**given, **small, "encoder": str(tiny_encoder)},
        out=tmp_path / "out",
        progress=False,
    )
    assert "xrag" in report.html.read_text("utf-8")
    assert report.metrics["real_texts"] == 12


# -- the reference, as it is published -----------------------------------------------


class Reference(MistralForCausalLM):
    """How xRAG's model computes: the projected vectors stand where ``<xRAG>`` is among the ids."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        width = config.hidden_size
        layers = nn.Linear(config.retriever_hidden_size, width), nn.GELU(), nn.Linear(width, width)
        self.projector = nn.ModuleDict({"projector": nn.Sequential(*layers)})

    @torch.inference_mode()
    def read(self, ids: torch.Tensor, vectors: torch.Tensor, place: int) -> torch.Tensor:
        embeds = self.get_input_embeddings()(ids)
        embeds[ids == place] = self.projector["projector"](vectors.to(embeds.dtype))
        return embeds


def llama_tokenizer(folder: Path) -> Any:
    """Return a tokenizer of Mistral's kind that has learnt xRAG's instructions, and save it."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
    from tokenizers.trainers import BpeTrainer
    from transformers import PreTrainedTokenizerFast

    inside = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    inside.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    inside.decoder = decoders.Metaspace()
    names = ["<unk>", "<s>", "</s>"]
    texts = [instruction_prompt(name).replace("{xrag}", "") for name in INSTRUCTIONS]
    alphabet = sorted(set("▁".join(texts)) - {" "})
    inside.train_from_iterator(
        texts, BpeTrainer(vocab_size=200, special_tokens=names, initial_alphabet=alphabet)
    )
    inside.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inside, **special)
    tokenizer.add_tokens([AddedToken("<xRAG>", lstrip=False, rstrip=False, normalized=False)])
    tokenizer.save_pretrained(folder)
    return tokenizer


def published(folder: Path) -> tuple[Reference, Any]:
    """Save a small random model as the reference publishes its own: PyTorch's files in bfloat16."""
    from huggingface_hub import split_torch_state_dict_into_shards
    from transformers import MistralConfig

    folder.mkdir()
    tokenizer = llama_tokenizer(folder)
    torch.manual_seed(1)
    config = MistralConfig(
        vocab_size=len(tokenizer),
        **SHAPE,
        initializer_range=0.4,  # so that what is read matters
        retriever_hidden_size=DIM,
        projector_type="mlp2x_gelu",
    )
    model = Reference(config).eval()
    for weights in model.parameters():  # rounded, and compared in float32
        weights.data = weights.data.bfloat16().float()
    tensors = {name: tensor.bfloat16() for name, tensor in model.state_dict().items()}
    split = split_torch_state_dict_into_shards(
        tensors, filename_pattern="pytorch_model{suffix}.bin", max_shard_size="20KB"
    )
    assert split.is_sharded
    for file, names in split.filename_to_tensors.items():
        torch.save({name: tensors[name] for name in names}, folder / file)
    index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    told = config.to_dict() | {"architectures": ["XMistralForCausalLM"], "torch_dtype": "bfloat16"}
    told.pop("dtype", None)
    assert told["model_type"] == "mistral"
    (folder / "config.json").write_text(json.dumps(told))
    model.generation_config.save_pretrained(folder)
    return model, tokenizer


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Reference, Any]:
    folder = tmp_path_factory.mktemp("published") / "xrag-small"
    return folder, *published(folder)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SMOTEXT_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("instruction", ["means the same", "equivalent", "also means"])
def test_the_published_layout_gives_the_reference_s_logits_and_greedy_text(
    reference: tuple[Path, Reference, Any], vectors: np.ndarray, instruction: str, own_cache: Path
) -> None:
    folder, model, tokenizer = reference
    ours = XRAGDecoder.from_xrag(
        folder,
        encoder=VectorEncoder(),
        instruction=instruction,
        temperature=0,
        n_candidates=1,
        max_new_tokens=12,
        dtype="float32",
    )
    prompt = f"[INST] {INSTRUCTIONS[instruction].replace('{xrag}', '<xRAG>')} [/INST]"
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"].repeat(len(vectors), 1)
    place = tokenizer.convert_tokens_to_ids("<xRAG>")
    assert (ids == place).sum(dim=1).tolist() == [1] * len(vectors)
    embeds = model.read(ids, torch.from_numpy(vectors), place)
    parts = ours._writer()
    with torch.inference_mode():
        torch.testing.assert_close(
            parts.model(inputs_embeds=parts.soft_tokens(torch.from_numpy(vectors))).logits,
            model(inputs_embeds=embeds).logits,
            atol=1e-4,
            rtol=1e-4,
        )
    written = model.generate(
        inputs_embeds=embeds,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=12,
        pad_token_id=tokenizer.pad_token_id,
    )
    texts = tokenizer.batch_decode(written, skip_special_tokens=True)
    expected = [" ".join(text.split()) for text in texts]  # ours has single blanks
    assert ours.decode(vectors) == expected
    assert len(set(expected)) > 1, "different documents must be read differently"
    assert [p.name for p in own_cache.glob("xrag-small-*")], "the copy is in our cache"
    assert not list(own_cache.rglob("*.bin"))


def test_a_tokenizer_that_ends_what_it_reads_does_not_end_the_prompt(
    reference: tuple[Path, Reference, Any], vectors: np.ndarray, tmp_path: Path
) -> None:
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    settings = {"encoder": VectorEncoder(), "temperature": 0, "n_candidates": 1, "dtype": "float32"}
    folder = shutil.copytree(reference[0], tmp_path / "ending")
    expected = XRAGDecoder.from_xrag(folder, **settings, max_new_tokens=12).decode(vectors)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    ends = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    tokenizer.backend_tokenizer.post_processor = ends
    tokenizer.save_pretrained(folder)
    assert tokenizer("a")["input_ids"][-1] == tokenizer.eos_token_id
    ended = XRAGDecoder.from_xrag(folder, **settings, max_new_tokens=12)
    assert ended.decode(vectors) == expected


# -- reports -------------------------------------------------------------------------

METRICS = "application/vnd.smotext-lab.metrics+json"
REPORTS = {
    "qualitative": {"n": 1, "steps": 3, "new_per_class": 1, "n_candidates": 1},
    "privacy_audit": {"per_class": 10, "n": 8, "n_canaries": 3},
    "differential_privacy": {"per_class": 10, "n_per_class": 3, "epsilons": [300.0], "n_draws": 2},
    "synthetic_only": {"quick": True, "ks": [4]},
    "few_shot": {"quick": True, "ks": [4]},
    "class_imbalance": {"quick": True, "most": 8, "ratios": [4]},
    "distillation": {"quick": True, "ks": [4]},
    "robustness": {"quick": True, "ks": [4]},
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # random models: texts are refused, and few
@pytest.mark.parametrize("name", templates())
def test_every_report_runs_with_a_checkpoint_of_that_layout(
    name: str,
    tmp_path: Path,
    tiny_llm: Path,
    tiny_encoder: Path,
    topics: Any,
    monkeypatch: pytest.MonkeyPatch,
    one_strength: None,
) -> None:
    from transformers import BertConfig, BertModel

    monkeypatch.setenv("SMOTEXT_LAB_RESULTS", str(tmp_path / "results"))
    shown: list[Any] = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **_: shown.append(bundle))
    folder = saved(tmp_path / "xrag", tiny_llm, dim=16, ends=3)
    encoder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    config = BertConfig.from_pretrained(encoder, initializer_range=0.5)  # not all texts alike
    torch.manual_seed(0)
    BertModel(config).save_pretrained(encoder)
    texts, labels = topics(money=30, sport=30)
    pd.DataFrame({"text": texts, "label": labels}).to_csv(tmp_path / "few.csv", index=False)
    given = {"dataset": str(tmp_path / "few.csv"), "models": str(folder)}
    given |= {"encoder": str(encoder), "max_new_tokens": 6, "classifiers": ["tfidf-logreg"]}
    given |= REPORTS[name]
    names: dict[str, Any] = {}
    for cell in nbformat.read(template_path(name), as_version=4).cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
            if "parameters" in cell.metadata.get("tags", []):
                names |= {key: value for key, value in given.items() if key in names}
    assert names["decoder"].llm == str(folder)
    recorded = [b for b in shown if isinstance(b, dict) and METRICS in b]
    assert recorded, "the report has figures"
    if name == "differential_privacy":
        rows = {(row["method"], row["epsilon"]): row for row in names["compare"].rows}
        assert all(row["draws"] == 2 for row in rows.values()), rows
        free = float("inf")
        kinds = ("DPGaussian", "DPAnchors", "PrivateEvolution")
        assert {(kind, epsilon) for kind in kinds for epsilon in (free, 300.0)} <= set(rows)
        assert not any("ε = 1000" in told for told in names["compare"].sentences())
    if name == "privacy_audit":
        told = {figure for bundle in recorded for figure, _ in bundle[METRICS]["values"]}
        assert {f"canary_auc_{times}" for times in (1, 4, 16)} <= told
