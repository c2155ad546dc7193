"""A job on object storage of which some requests fail, against the same job on a disk.

    pip install 's3fs' 'moto[server]'
    python -m benchmarks.s3 SET.csv.gz --rows 60 --failing 0.05

The storage is moto's S3 server on this machine. Of its answers a share is spoilt, a third each: the
request is refused with 503 or 500 before anything is done; or it is done and the connection breaks
before the answer, so that whoever asked does not know. Two workers run the job; the table must be
that of the job on the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.jobs import created, texts_of
from benchmarks.machine import described
from smotext_lab import machine

SPOILT = ("503", "500", "broken")


class Spoiling:
    """A WSGI application that spoils a share of another's answers."""

    def __init__(self, application: Any, share: float) -> None:
        self.application, self.share = application, share
        self.rng = random.Random(0)
        self.counts: Counter[str] = Counter()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        how = self.rng.choice(SPOILT) if self.rng.random() < self.share else "answered"
        self.counts[how] += 1
        if how in ("503", "500"):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start(f"{how} spoilt", [("Content-Length", "0")])
            return [b""]
        answer = self.application(environ, start)
        if how == "broken":
            list(answer)  # it is done
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return answer


def serving(share: float) -> Spoiling:
    """Start the server and return its application."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_: Any) -> None:
            pass

    spoiling = Spoiling(DomainDispatcherApplication(create_backend_app), 0.0)
    server = make_server("127.0.0.1", 0, spoiling, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
    }
    import fsspec

    fsspec.filesystem("s3").mkdir("s3://jobs")
    spoiling.share = share
    return spoiling


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("set", type=Path, metavar="SET")
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--per-class", type=int, default=20)
    parser.add_argument("--failing", type=float, default=0.05)
    parser.add_argument("--out", type=Path, default=Path("s3.json"))
    given = parser.parse_args()
    machine.limit_threads()
    rows = texts_of(given.set, given.per_class)
    spoiling = serving(given.failing)  # first: workers begin with the environment of now
    with tempfile.TemporaryDirectory() as folder:
        local = created(Path(folder) / "job", rows, given.rows, each=6)
        local.run(workers=2, progress=False)  # as many threads each: the same to the last bit
        expected = local.synthesis().frame
    started = time.perf_counter()
    job = created("s3://jobs/job", rows, given.rows, each=6)
    job.run(workers=2, progress=False)
    found = {
        "rows": len(expected),
        "requests": dict(spoiling.counts),
        "share that failed": 1 - spoiling.counts["answered"] / spoiling.counts.total(),
        "seconds": time.perf_counter() - started,
        "state": job.status().state,
        "tables are equal": bool(job.synthesis().frame.equals(expected)),
        "faults found by verify": len(job.verify()),
    }
    for name, value in found.items():
        print(f"{name}: {round(value, 4) if isinstance(value, float) else value}")
    told = {"machine": described(), **found}
    given.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
