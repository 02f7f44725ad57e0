"""A server from its first import to its last answer: ``run`` is all there is to call."""

import asyncio
import contextlib
import gc
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainbox.errors import ModelFileError, TrainboxError, UsageError
from trainbox.serving import log
from trainbox.serving.interpreters import Interpreters
from trainbox.serving.models import ONLY, open_model
from trainbox.serving.processes import Lost
from trainbox.serving.settings import EVERYWHERE, Settings

if TYPE_CHECKING:
    from uvicorn import Server

    from trainbox.serving.state import State

SIGNALS = (signal.SIGTERM, signal.SIGINT)
SECONDS_UNREADY = 0.5
"""So long connections are still taken after being told to end: what knocks already is let in and answered."""
KEEP_ALIVE = 75


class ServingFailed(TrainboxError):
    """The server cannot go on."""


def run(folder: Path | None, settings: Settings, started: Callable[[str], None] = lambda address: None) -> None:
    """Serve the model in ``folder`` (none: models come over /models) until SIGTERM or SIGINT.

    ``started`` is called with the server's address once it answers. Raise UsageError where the port cannot be had,
    ModelFileError where the model cannot be served, ServingFailed where interpreters die one after the other.
    """
    with _listening(settings.host, settings.port) as listener:
        _allow_many_connections()
        asyncio.run(_serve(listener, folder, settings, started))


async def _serve(
    listener: socket.socket, folder: Path | None, settings: Settings, started: Callable[[str], None]
) -> None:
    stop = asyncio.Event()
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    pool = Interpreters(settings.workers, settings.queue_length, settings.timeout)
    try:
        await pool.start()
        # Only now: what talks to clients takes its time to import, and the interpreters' processes do so meanwhile.
        state, server = _server(settings, pool)
        serving = asyncio.create_task(server.serve([listener]))
        try:
            await _until(stop, pool, _load(state, folder))
            if not stop.is_set():
                gc.freeze()  # What stands now stays: looking through it again and again costs a request its share.
                started(_address(listener, settings.host))
                await _until(stop, pool, stop.wait())
        finally:
            await _drain(state, server, serving)
    finally:
        await pool.close()
    log.say("stopped")


def _server(settings: Settings, pool: Interpreters) -> tuple["State", "Server"]:
    """Return a server that answers 503 for as long as no model is loaded."""
    import uvicorn

    from trainbox.serving.app import build
    from trainbox.serving.connections import GuardedConnection
    from trainbox.serving.metrics import Metrics
    from trainbox.serving.state import State

    class Server(uvicorn.Server):
        """uvicorn's, but what a signal means is decided here."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    class Connection(GuardedConnection):
        header_timeout = settings.header_timeout

    metrics = Metrics()
    observed = metrics.observed()
    counted = observed.respawned

    def respawned(why: str) -> None:
        counted(why)
        log.say("interpreter died", why=why)

    observed.respawned = respawned
    pool.observed = observed
    metrics.follow(pool)
    state = State(settings, metrics, pool)
    named: dict[str, Any] = {"lifespan": "off", "ws": "none", "log_config": None, "access_log": False}
    config = uvicorn.Config(
        build(state),
        http=Connection,
        loop="asyncio",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=int(settings.drain_timeout),
        log_level="critical",
        **named,
    )
    return state, Server(config)


async def _load(state: "State", folder: Path | None) -> None:
    """Open the model, compare it with its manifest and load it in all interpreters."""
    if folder is not None:
        model = await asyncio.to_thread(open_model, ONLY, folder, state.settings.file)
        try:
            await state.pool.load(model)
        except (Lost, MemoryError) as error:
            raise ModelFileError(f"{model.file} cannot be loaded: {error or 'memory ran out'}") from error
        state.models[ONLY] = model
        state.metrics.tell(model)
        log.say("model loaded", task=model.manifest["task"], file=model.file, sha256=model.digest)
    state.loaded = True


async def _until(stop: asyncio.Event, pool: Interpreters, work: Any) -> None:
    """Wait for ``work``, or for being told to stop; raise what it raises, or ServingFailed where the pool fails."""
    stopping, working = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(work)
    try:
        await asyncio.wait((stopping, working, pool.failed), return_when=asyncio.FIRST_COMPLETED)
        if pool.failed.done():
            raise ServingFailed(pool.failed.result())
        if working.done():
            working.result()
    finally:
        for task in (stopping, working):
            task.cancel()
        await asyncio.gather(stopping, working, return_exceptions=True)


async def _drain(state: "State", server: "Server", serving: "asyncio.Task[None]") -> None:
    """Say that we are not ready any more, answer what was accepted, and close."""
    state.stopping = True
    log.say("stopping", waiting=state.pool.waiting, working=state.pool.working)
    await asyncio.sleep(SECONDS_UNREADY)
    server.should_exit = True
    await asyncio.gather(serving, return_exceptions=True)
    for model in state.models.values():
        model.bundle.close()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"{host} port {port} cannot be listened on: {error.strerror or error}. Choose another port."
        ) from error
    listener.set_inheritable(False)
    return listener


def _address(listener: socket.socket, host: str) -> str:
    port = listener.getsockname()[1]
    shown = {EVERYWHERE: "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def _allow_many_connections() -> None:
    """Have as many files open at once as the system lets us: each connection is one."""
    with contextlib.suppress(OSError, ValueError):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
