"""Tables that a report leaves beside its page, one Parquet file each."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

from smotext_lab.errors import ParameterError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TABLE_MIME", "leave_table", "taken"]

TABLE_MIME = "application/vnd.smotext-lab.table+json"


def leave_table(name: str, frame: pd.DataFrame) -> None:
    """Leave a frame in a running notebook: `run_report` writes it beside ``metrics.json``.

    Parameters
    ----------
    name : str
        The file is called ``<name>.parquet``.
    frame : DataFrame
        Its index is not kept.

    Raises
    ------
    ParameterError
        If `name` is not a plain word.

    Examples
    --------
    >>> import pandas as pd
    >>> from smotext_lab.reports import leave_table
    >>> leave_table("results", pd.DataFrame({"value": [0.5]}))  # doctest: +SKIP
    """
    from IPython.display import display

    if not name.isidentifier():
        msg = f"a table's name becomes a file's, so it must be a plain word, not {name!r}"
        raise ParameterError(msg)
    packed = io.BytesIO()
    frame.to_parquet(packed, index=False)
    told = {"name": name, "parquet": base64.b64encode(packed.getvalue()).decode("ascii")}
    display({TABLE_MIME: told, "text/plain": f"{name}.parquet: {len(frame):,} rows"}, raw=True)


def taken(notebook: Any) -> dict[str, bytes]:
    """Take the tables out of an executed notebook; the lines that tell of them stay.

    Returns
    -------
    dict of str -> bytes
        By the files' names.
    """
    found = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            told = output.get("data", {}).pop(TABLE_MIME, None)
            if told:
                found[f"{told['name']}.parquet"] = base64.b64decode(told["parquet"])
    return found
