"""The command line: a module a command, loaded only when it is the one that was asked for."""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

import typer

COMMANDS: Mapping[str, str] = {
    "demo": "Write a small synthetic data set.",
    "check": "Read a data set as training would; say what is in it and what is wrong with it.",
    "convert": "Write a data set as TFRecords.",
    "train": "Train a model on your data, and prove the files that come out.",
    "tune": "Search the hyperparameters with which a model gets best.",
    "evaluate": "Score the exported files of a model on data.",
    "predict": "Ask a finished model about pictures.",
    "serve": "Serve a finished model, with a page to try it at.",
    "export": "Write another format of a finished model, without retraining.",
    "init": "Set up Amazon SageMaker for this folder: trainbox.toml, and a bucket and a role where asked for.",
    "jobs": "List the training jobs that Trainbox began at SageMaker.",
    "logs": "Print the log of a training job at SageMaker.",
    "stop": "Stop a training job or a tuning job at SageMaker; its best model so far is kept.",
    "fetch": "Bring the model of a training job at SageMaker here, or the best one of a tuning job.",
    "deploy": "Make a SageMaker endpoint of a model, or update one in place.",
    "undeploy": "Remove a SageMaker endpoint and all that was made for it.",
    "image": "Build the container image, push it to ECR, and check any image against the contract.",
}
"""Name and summary of each command: so ``--help`` loads none of them. A test compares them with the commands' own."""

INTERRUPTED = 130


def main() -> None:
    """Run the command that the arguments name, and exit: 0 done, 1 failed, 2 wrong usage or refused input."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for stream in (sys.stdout, sys.stderr):
        # Names that are not UTF-8 are shown escaped instead of ending the command.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status; every error becomes one line on stderr."""
    from trainbox.container.contract.failure import one_line
    from trainbox.errors import TrainboxError

    chosen = next((argument for argument in arguments if not argument.startswith("-")), None)
    try:
        status = application(chosen)(list(arguments) or ["--help"], prog_name="trainbox", standalone_mode=False)
    except TrainboxError as error:
        print(one_line(error), file=sys.stderr)
        return error.exit_status
    except OSError as error:
        print(one_line(error), file=sys.stderr)
        return 1
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except Exception as error:
        # Wrong usage is an exception of click, which typer brings along under another name from version to version.
        if not hasattr(error, "format_message"):
            raise
        command = f"trainbox {chosen}" if chosen in COMMANDS else "trainbox"
        print(f"{error.format_message()} See: {command} --help", file=sys.stderr)
        return 2
    if status == INTERRUPTED:
        # Some versions of typer answer ctrl-C with this status, others with an exception.
        print("Interrupted.", file=sys.stderr)
    return status if isinstance(status, int) else 0


def application(chosen: str | None) -> typer.Typer:
    """Return the command line with the ``chosen`` command loaded and the others named only."""
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        help="Train small vision models for things that move or fit in a pocket."
        "\n\nExample: trainbox train drive tub.zip --out pilot",
    )
    app.callback()(_options)
    for name, summary in COMMANDS.items():
        if name == chosen:
            _add(app, name)
        else:
            app.command(name, help=summary)(_not_loaded)
    return app


def _add(app: typer.Typer, name: str) -> None:
    """Add a command; a module of several commands has them in a ``group``."""
    module = import_module(f"trainbox.cli.{name}")
    if hasattr(module, "group"):
        app.add_typer(module.group, name=name)
    else:
        app.command(name)(getattr(module, name))


def _options(
    version: bool = typer.Option(False, "--version", is_eager=True, callback=lambda wanted: _say_version(wanted)),
) -> None:
    pass


def _say_version(wanted: bool) -> None:
    if wanted:
        from trainbox import __version__

        print(__version__)
        raise typer.Exit


def _not_loaded() -> None:
    raise RuntimeError("the command was not loaded")
