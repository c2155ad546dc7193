"""Workers on a Ray cluster: actors of Ray Data, each of which loads the models once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from smotext_lab import errors
from smotext_lab.errors import ParameterError, SmotextError
from smotext_lab.scale.store import Store, open_store

if TYPE_CHECKING:
    from smotext_lab.scale.parts import Workshop

__all__ = ["run_on_ray"]


class _Worker:
    """Makes the parts that Ray hands it."""

    def __init__(self, url: str, decoder: Any) -> None:
        self._url, self._decoder = url, decoder
        self._workshop: Workshop | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"told": [json.dumps(self._made(str(part))) for part in batch["part"]]}

    def _made(self, part: str) -> dict[str, Any]:
        """Make a part; what stops a worker is told, as Ray wraps an exception in its own."""
        from smotext_lab.scale.parts import Stopped, Workshop

        try:
            if self._workshop is None:
                self._workshop = Workshop(open_store(self._url), self._decoder)
            return {"facts": self._workshop.make(part)}
        except Stopped:
            return {"stopped": True}
        except SmotextError as error:
            return {"error": type(error).__name__, "message": str(error)}


def run_on_ray(
    store: Store,
    parts: Sequence[str],
    decoder: Any,
    workers: int,
    *,
    num_cpus: float,
    num_gpus: float,
) -> Iterator[dict[str, Any]]:
    """Make the parts by `workers` actors on the cluster that ``RAY_ADDRESS`` names.

    A part is made whole or not at all and may be made twice without harm, so Ray may try again
    whatever was lost with a node.

    Raises
    ------
    ParameterError
        If Ray is not installed.
    SmotextError
        What went wrong in a worker, as it was raised there.
    Stopped
        If the job was cancelled.
    """
    try:
        import ray
    except ImportError:
        msg = "runner='ray' needs Ray: pip install 'smotext-lab[ray]'"
        raise ParameterError(msg) from None

    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    rows = ray.data.from_items([{"part": part} for part in parts], override_num_blocks=len(parts))
    made = rows.map_batches(
        _Worker,
        fn_constructor_args=(store.url, decoder),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=num_cpus or None,
        num_gpus=num_gpus or None,
    )
    for row in made.iter_rows():
        yield _facts(json.loads(row["told"]))


def _facts(told: dict[str, Any]) -> dict[str, Any]:
    """Return what is told about a part, or raise what its worker met."""
    from smotext_lab.scale.parts import Stopped

    if "stopped" in told:
        raise Stopped
    if "error" in told:
        raise getattr(errors, told["error"])(told["message"])
    facts: dict[str, Any] = told["facts"]
    return facts
