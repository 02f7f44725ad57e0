"""A server from its first import to its last answer: ``run`` is all there is to call."""

import asyncio
import contextlib
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from trainbox.errors import ModelFileError, TrainboxError, UsageError
from trainbox.serving import log
from trainbox.serving.interpreters import Interpreters
from trainbox.serving.models import ONLY, Model, open_model
from trainbox.serving.processes import Lost
from trainbox.serving.settings import EVERYWHERE, Settings
from trainbox.serving.settling import settle

if TYPE_CHECKING:
    from uvicorn import Server

    from trainbox.serving.state import State

SIGNALS = (signal.SIGTERM, signal.SIGINT)
SECONDS_UNREADY = 0.5
"""So long connections are still taken after being told to end: what knocks already is let in and answered."""
KEEP_ALIVE = 75
BACKLOG = 2048


class ServingFailed(TrainboxError):
    """The server cannot go on."""


def run(
    folder: Path | None,
    settings: Settings,
    started: Callable[[str], None] = lambda address: None,
    told: Callable[[], bool] = lambda: False,
) -> None:
    """Serve the model in ``folder`` (none: models come over /models) until SIGTERM or SIGINT.

    ``started`` is called with the server's address once it answers. ``told``: whether a signal came before this was
    called. Raise UsageError where the port cannot be had, ModelFileError where the model cannot be served,
    ServingFailed where interpreters die one after the other.
    """
    with _listening(settings.host, settings.port) as listener:
        _allow_many_connections()
        asyncio.run(_serve(listener, folder, settings, started, told))


async def _serve(
    listener: socket.socket,
    folder: Path | None,
    settings: Settings,
    started: Callable[[str], None],
    told: Callable[[], bool],
) -> None:
    with _told_to_stop() as stop:
        if told():
            stop.set()
        pool = Interpreters(settings.workers, settings.queue_length, settings.timeout)
        try:
            await pool.start()
            opening = asyncio.create_task(_opened(pool, folder, settings))
            try:
                await _answering(listener, settings, pool, opening, stop, started)
            finally:
                opening.cancel()
                for model in await asyncio.gather(opening, return_exceptions=True):
                    if isinstance(model, Model):
                        model.bundle.close()
        finally:
            await pool.close()
        log.say("stopped")


async def _answering(
    listener: socket.socket,
    settings: Settings,
    pool: Interpreters,
    opening: "asyncio.Task[Model | None]",
    stop: asyncio.Event,
    started: Callable[[str], None],
) -> None:
    """Answer clients until told to stop, and then what they have asked."""
    # What talks to clients takes its time to import. Aside, so that the interpreter's process is not kept waiting.
    state, server = await asyncio.to_thread(_server, settings, pool)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        await _until(stop, pool, serving, _show(state, opening))
        if not stop.is_set():
            settle()
            started(_address(listener, settings.host))
            await _until(stop, pool, serving, stop.wait())
    finally:
        await _drain(state, server, serving)


@contextlib.contextmanager
def _told_to_stop() -> Iterator[asyncio.Event]:
    """Yield an event that our signals set, for as long as this holds; then they mean what they meant before.

    The loop's own handlers would leave a moment at its end in which a second signal kills us.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def tell(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop.set)

    before = {number: signal.signal(number, tell) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
    state = State(settings, metrics, pool)
    metrics.follow(pool, state.room)
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


async def _opened(pool: Interpreters, folder: Path | None, settings: Settings) -> Model | None:
    """Open the model, compare it with its manifest and load it in the first interpreter."""
    if folder is None:
        return None
    model = await asyncio.to_thread(open_model, ONLY, folder, settings.file)
    try:
        await pool.load(model)
    except (Lost, MemoryError) as error:
        raise ModelFileError(f"{model.file} cannot be loaded: {error or 'memory ran out'}") from error
    return model


async def _show(state: "State", opening: "asyncio.Task[Model | None]") -> None:
    """Be ready once the model is loaded; the other interpreters follow."""
    model = await asyncio.shield(opening)
    if model is not None:
        state.models[ONLY] = model
        state.metrics.tell(model)
        log.say("model loaded", task=model.manifest["task"], file=model.file, sha256=model.digest)
    state.loaded = True
    state.pool.fill()


async def _until(stop: asyncio.Event, pool: Interpreters, serving: "asyncio.Task[None]", work: Any) -> None:
    """Wait for ``work``, or for being told to stop.

    Raise what it raises, or ServingFailed where the pool fails or nobody talks to clients any more.
    """
    stopping, working = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(work)
    try:
        await asyncio.wait((stopping, working, pool.failed, serving), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            raise ServingFailed(f"The HTTP server has ended: {serving.exception() or 'it does not say why'}.")
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
    # Where there was nothing to serve, the reason is all that there is to say.
    if state.loaded:
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
        listener.listen(BACKLOG)  # two may bind one port, not listen on it; and who comes early need not come again
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
