"""New texts as a data set of the Hugging Face hub: the rows, and a card that says what they are."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from smotext_lab._version import __version__
from smotext_lab.errors import DataError
from smotext_lab.privacy.guarantee import FIGURES_NOT_COVERED
from smotext_lab.synthesis import Synthesis, weights_as_json

__all__ = ["data_card", "push_to_hub", "to_dataset", "write_repository"]

_DATA = "data/train-00000-of-00001.parquet"
_NO_GUARANTEE = (
    "**None.** SMOTE mixes real texts, and a new text can give away the ones it was made from. "
    "Do not treat these texts as anonymous."
)


def data_card(made: Synthesis, *, name: str, metrics: Mapping[str, Any] | None = None) -> str:
    """Return the card of a data set: its metadata as YAML, then what it is and how it was made.

    Parameters
    ----------
    made : Synthesis
    name : str
        What the data set is called.
    metrics : mapping of name -> number, optional
        Figures to be told, such as those of a report's ``metrics.json``.

    Returns
    -------
    str
        Markdown; names of classes and values are escaped.

    References
    ----------
    Gebru et al., "Datasheets for Datasets", arXiv 1803.09010.

    Examples
    --------
    >>> made = Synthesis.from_rows([{"text": "Rain.", "label": "weather", "status": "accepted"}])
    >>> "- synthetic" in data_card(made, name="weather")
    True
    """
    from huggingface_hub import DatasetCardData

    data = DatasetCardData(
        pretty_name=name,
        tags=["synthetic", "smotext"],
        task_categories=["text-classification"],
        configs=[{"config_name": "default", "data_files": _DATA}],
    )
    parts = [
        f"---\n{data.to_yaml()}\n---\n\n# {_inert(name)}",
        "Synthetic texts: no person wrote them, and what they say may be false. They were made by "
        f"interpolating between {_ends(made)} and letting a language model "
        "write each point down (SMOTExT, arXiv 2505.13434), with "
        f"smotext-lab {__version__}.",
        "## Texts\n\n" + _table(_counts(made), "class", "texts"),
        "## How they were made\n\n" + _table(_facts(made), "what", "value"),
        "## Privacy\n\n" + _privacy(made, figures=bool(metrics)),
        "## Quality\n\n" + _table(_quality(made, metrics or {}), "measure", "value"),
        "## Use\n\nTrain on them beside real texts or in their place, and test on real texts "
        "only: whether they help is not known before it is measured.",
    ]
    return "\n\n".join(parts) + "\n"


def write_repository(
    made: Synthesis,
    folder: str | Path,
    *,
    name: str | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> Path:
    """Write a folder laid out as a data set of the hub: Parquet and ``README.md``.

    The real texts are not in it.

    Parameters
    ----------
    made : Synthesis
    folder : path
    name : str, optional
        Default the folder's.
    metrics : mapping, optional
        See `data_card`.

    Returns
    -------
    Path
        The folder; ``datasets.load_dataset(folder)`` reads it.

    Raises
    ------
    DataError
        If there is no accepted text, or the folder holds other files.
    """
    folder = Path(folder)
    if not len(made):
        msg = "There is no accepted text to write."
        raise DataError(msg)
    others = (
        {p.name for p in folder.glob("*")} - {"README.md", "data"} if folder.is_dir() else set()
    )
    if others:
        msg = f"{folder} holds other files ({', '.join(sorted(others)[:3])}): give an empty folder."
        raise DataError(msg)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    made.to_parquet(folder / _DATA)
    card = data_card(made, name=name or folder.name, metrics=metrics)
    (folder / "README.md").write_text(card, encoding="utf-8")
    return folder


def to_dataset(made: Synthesis) -> Any:
    """Return the accepted texts as a ``datasets.Dataset``, with the provenance in its ``info``.

    Raises
    ------
    DataError
        If the package datasets is not installed.
    """
    try:
        from datasets import Dataset
    except ImportError as error:
        msg = "to_dataset needs the package datasets: pip install 'smotext-lab[hub]'."
        raise DataError(msg) from error
    frame = made.to_pandas()
    weights = made.output_names()["label_weights"]
    frame[weights] = weights_as_json(frame[weights])
    dataset = Dataset.from_pandas(frame, preserve_index=False)
    dataset.info.description = data_card(made, name="smotext-lab")
    return dataset


def push_to_hub(
    made: Synthesis,
    repo_id: str,
    *,
    private: bool = True,
    token: str | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> str:
    """Upload the accepted texts and their card to the hub; return the page's address.

    Parameters
    ----------
    made : Synthesis
    repo_id : str
        ``"owner/name"``; made where it does not exist.
    private : bool, default=True
        Nothing is made public unless you say so: a public data set that is there is refused.
    token : str, optional
        Default the one of ``hf auth login``.
    metrics : mapping, optional
        See `data_card`.

    Raises
    ------
    DataError
        If there is no accepted text, the hub refuses, or the data set is public and should not be.
    """
    import tempfile

    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(token=token)
    with tempfile.TemporaryDirectory() as folder:
        name = repo_id.rpartition("/")[2]
        write_repository(made, folder, name=name, metrics=metrics)
        try:
            api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
            # one that was there stays as it was, whatever is asked for
            if private and not api.repo_info(repo_id, repo_type="dataset").private:
                msg = (
                    f"{repo_id!r} is public on the hub, so nothing was uploaded: make it private "
                    "there, give another name, or say private=False."
                )
                raise DataError(msg)
            api.upload_folder(repo_id=repo_id, repo_type="dataset", folder_path=folder)
        except HfHubHTTPError as error:
            msg = f"The hub refused {repo_id!r}: {str(error).splitlines()[0]}"
            raise DataError(msg) from error
    return f"{api.endpoint}/datasets/{repo_id}"


def _counts(made: Synthesis) -> dict[str, Any]:
    return {str(label): f"{count:,}" for label, count in made.counts().items()}


def _facts(made: Synthesis) -> dict[str, Any]:
    hidden = {"guarantee", "privacy", "withheld"}  # told under their own heading
    told = {name: value for name, value in made.info.items() if name not in hidden}
    if made.originals is not None and "texts" not in told:
        told["texts"] = len(made.originals)
    if _stated(made):
        return told | {"rejected": "withheld"}
    return told | {"rejected": len(made.frame) - len(made), **_prefixed(made.reasons())}


def _prefixed(reasons: pd.Series) -> dict[str, Any]:
    return {f"rejected as {kind}": int(count) for kind, count in reasons.items()}


def _privacy(made: Synthesis, *, figures: bool) -> str:
    stated = _stated(made)
    if not stated:
        return _NO_GUARANTEE
    words = "A differential privacy guarantee is stated, by the mechanism that made the texts:"
    if len(stated) > 1:
        words = (
            f"The texts are of {len(stated)} releases, and each states a differential privacy "
            "guarantee. Where they read the same real texts these add up: together they give away "
            "more than any of them states."
        )
    caveat = [FIGURES_NOT_COVERED] if figures else []
    return "\n\n".join([words, *(_table(each, "what", "value") for each in stated), *caveat])


def _stated(made: Synthesis) -> list[dict[str, Any]]:
    """Return the guarantees of all releases that the texts are of; none if one part has none."""
    parts = [made.info] if "guarantee" in made.info else made.info.get("parts", [])
    found = [dict(part.get("guarantee") or {}) for part in parts]
    if any(each.get("epsilon") is None for each in found):
        return []
    return list({each.get("release") or str(n): each for n, each in enumerate(found)}.values())


def _ends(made: Synthesis) -> str:
    if _stated(made) or "guarantee_before_review" in made.info:
        return "points that are public or were released by a privacy mechanism"
    return "the vectors of labelled real texts"


def _quality(made: Synthesis, metrics: Mapping[str, Any]) -> dict[str, Any]:
    rows = made.accepted
    means = {
        "mean cosine to the point aimed at": rows["cosine_to_target"].mean(),
        "mean cosine to the nearest real text": rows["cosine_to_nearest_real"].mean(),
        "mean probability of the label (neighbours)": rows["label_probability"].mean(),
    }
    return {k: f"{v:.3f}" for k, v in means.items() if pd.notna(v)} | dict(metrics)


def _table(rows: Mapping[str, Any], first: str, second: str) -> str:
    lines = [f"| {first} | {second} |", "|---|---|"]
    lines += [f"| {_inert(name)} | {_inert(value)} |" for name, value in rows.items()]
    return "\n".join(lines)


def _inert(value: Any) -> str:
    """Return a value as one line of a Markdown table that marks nothing up."""
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    escaped = html.escape(" ".join(shown.split()))
    return "".join(f"\\{c}" if c in "|`*_[]\\$#" else c for c in escaped)
