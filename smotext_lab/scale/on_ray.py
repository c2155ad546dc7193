"""Workers on a Ray cluster: actors of Ray Data, each of which loads the models once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from smotext_lab.errors import ParameterError
from smotext_lab.scale.store import Store, open_store

__all__ = ["run_on_ray"]


class _Worker:
    """Makes the parts that Ray hands it."""

    def __init__(self, url: str, decoder: Any) -> None:
        from smotext_lab.scale.parts import Workshop

        self._workshop = Workshop(open_store(url), decoder)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        from smotext_lab.scale.parts import Stopped

        told = []
        for part in batch["part"]:
            try:
                told.append(json.dumps(self._workshop.make(str(part))))
            except Stopped:
                told.append("")  # to be told apart from an error, which Ray would try again
        return {"facts": told}


def run_on_ray(
    store: Store, parts: Sequence[str], decoder: Any, workers: int, num_gpus: float
) -> Iterator[dict[str, Any]]:
    """Make the parts by `workers` actors on the cluster that ``RAY_ADDRESS`` names.

    A part is made whole or not at all and may be made twice without harm, so Ray may try again
    whatever was lost with a node.

    Raises
    ------
    ParameterError
        If Ray is not installed.
    Stopped
        If the job was cancelled.
    """
    try:
        import ray
    except ImportError:
        msg = "runner='ray' needs Ray: pip install 'smotext-lab[ray]'"
        raise ParameterError(msg) from None
    from smotext_lab.scale.parts import Stopped

    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    rows = ray.data.from_items([{"part": part} for part in parts], override_num_blocks=len(parts))
    made = rows.map_batches(
        _Worker,
        fn_constructor_args=(store.url, decoder),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_gpus=num_gpus or None,
    )
    for row in made.iter_rows():
        if not row["facts"]:
            raise Stopped
        yield json.loads(row["facts"])
