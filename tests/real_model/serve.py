"""llama.cpp's HTTP server with one model; started as a program, with the server's package."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path


def main() -> None:
    """Serve until killed."""
    import xllamacpp  # type: ignore[import-not-found]

    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ctx-size", type=int, required=True)
    parser.add_argument("--template", type=Path, required=True)
    given = parser.parse_args()
    params = xllamacpp.CommonParams()
    params.model.path = given.model
    params.model_alias = [Path(given.model).stem]
    params.n_ctx = given.ctx_size
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = 2
    params.cpuparams_batch.n_threads = 2
    params.use_jinja = True
    params.chat_template = given.template.read_text()
    params.endpoint_slots = True
    params.hostnames = ["127.0.0.1"]
    params.port = given.port
    running = xllamacpp.Server(params)
    print(running.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
