"""``trainbox serve``: the serving program on this machine."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from trainbox.container import packages


def serve(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder, or its model.tar.gz.")],
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Where to listen; 0 takes any that is free.")
    ] = 8080,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Who may ask: 0.0.0.0 lets in whoever reaches this machine.")
    ] = "127.0.0.1",
    file: Annotated[
        str | None, typer.Option(metavar="NAME", help="The .tflite file to serve; model.tflite if not given.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Interpreters; one for each core if not given.")
    ] = None,
) -> None:
    """Serve a finished model, with a page to try it at.

    It answers as an Amazon SageMaker endpoint does. Ctrl-C ends it when what was asked is answered.

    Example: trainbox serve detector --port 8080
    """
    packages.require_serving()
    from trainbox.serving.server import run
    from trainbox.serving.settings import Settings

    settings = Settings.from_environment()
    settings = replace(settings, host=host, port=port, file=file or settings.file, multi_model=False)
    run(model, replace(settings, workers=workers or settings.workers), _say)


def _say(address: str) -> None:
    print(f"Serving on {address} (the page is there, too). Ctrl-C ends it.", file=sys.stderr)
