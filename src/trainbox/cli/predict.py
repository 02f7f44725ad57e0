"""``trainbox predict``: ask a finished model about pictures."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainbox import tasks
from trainbox.cli import aws, hosting_options
from trainbox.container import packages
from trainbox.data.files import UnreadableFile
from trainbox.data.text import printable
from trainbox.errors import DataError, UsageError
from trainbox.serving.remote import TooLarge

if TYPE_CHECKING:
    import numpy as np

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")
JPEG_QUALITY = 92
ENDPOINT = "endpoint:"


def predict(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|URL|endpoint:NAME",
            help="A model folder, its model.tar.gz, or where one is served; with --batch a training job, too.",
        ),
    ],
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILE...", help="Pictures, or folders of them.")] = None,
    draw: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write each picture here with the answer drawn on it.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(metavar="T", help="Least score of what is answered; the best that training found.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace pictures that --draw wrote before.")] = False,
    batch: Annotated[
        str | None, typer.Option(metavar="s3://...", help="Ask about all below a prefix of S3, in a transform job.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="s3://...", help="Where the answers of --batch go, each as PICTURE.out.")
    ] = None,
    instance_type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Machine that --batch runs on; ml.m5.large if not given.")
    ] = None,
    instances: Annotated[
        int | None, typer.Option(metavar="N", help="How many machines --batch runs on; 1 if not given.")
    ] = None,
    image: hosting_options.Image = None,
    role: hosting_options.Role = None,
    bucket: hosting_options.Bucket = None,
    region: aws.Region = None,
    profile: aws.Profile = None,
    kms_key: hosting_options.KmsKey = None,
    tags: hosting_options.Tags = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what --batch would ask of AWS.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print each answer as a line of JSON.")] = False,
) -> None:
    """Ask a finished model about pictures.

    Each is answered by model.tflite, the file of the device, or by the model that is served at http://HOST:PORT or by
    a SageMaker endpoint. Pictures that cannot be read are said and passed over: exit status 1.

    \b
    Example: trainbox predict detector street.jpg --draw seen
    Example: trainbox predict endpoint:my-detector street.jpg
    Example: trainbox predict detector --batch s3://mine/photos/ --out s3://mine/answers/
    """
    options = hosting_options.Given(region, profile, image, role, bucket, kms_key, tags or ())
    if batch or out:
        _refuse_beside_batch(batch, out, files, draw, threshold)
        from trainbox.cli import batch as batches

        batches.run(model, str(batch), str(out), instance_type, instances, options, dry_run, as_json)
        return
    _refuse_without_batch(model, options, instance_type, instances, dry_run)
    if not files:
        raise UsageError("Missing argument 'FILE...': give pictures, or folders of them.")
    pictures = find_pictures(files)
    drawings = name_drawings(pictures, draw, overwrite) if draw else {}
    unreadable = 0
    with _opened(model, threshold, options) as predictor:
        for path, answer in _answers(predictor, pictures, drawings):
            if answer is None:
                unreadable += 1
            else:
                print(json.dumps({"file": str(path), **answer}) if as_json else f"{path}: {predictor.say(answer)}")
    if unreadable:
        raise typer.Exit(1)


@contextlib.contextmanager
def _opened(model: str, threshold: float | None, options: hosting_options.Given) -> Iterator[tasks.Predictor]:
    """Hold a model of this machine, or one that is served, to be asked."""
    if model.startswith(("http://", "https://")):
        from trainbox.serving.remote import RemotePredictor

        with RemotePredictor.at(model, threshold) as remote:
            yield remote
        return
    if model.startswith(ENDPOINT):
        from trainbox.platforms.sagemaker.hosting.invoking import OverSageMaker
        from trainbox.serving.remote import RemotePredictor

        account = options.chosen().account()
        with RemotePredictor(OverSageMaker(account, model.removeprefix(ENDPOINT)), threshold) as remote:
            yield remote
        return
    packages.require_training()
    from trainbox.export.bundle import Bundle

    with Bundle.open(Path(model)) as bundle:
        yield tasks.get(str(bundle.manifest["task"])).predictor(bundle, threshold)


def _refuse_beside_batch(
    batch: str | None, out: str | None, files: Sequence[Path] | None, draw: Path | None, threshold: float | None
) -> None:
    if not batch or not out:
        raise UsageError("--batch, where the pictures are, and --out, where the answers go, are given together.")
    if files or draw:
        raise UsageError("--batch asks about what lies in S3. Leave out FILE... and --draw.")
    if threshold is not None:
        raise UsageError("--batch answers with the scores that training found best. Leave out --threshold.")


def _refuse_without_batch(
    model: str, options: hosting_options.Given, instance_type: str | None, instances: int | None, dry_run: bool
) -> None:
    """Raise UsageError for options that would do nothing."""
    given: dict[str, object] = {"--instance-type": instance_type, "--instances": instances}
    given |= {"--dry-run": dry_run or None}
    given |= {"--image": options.image, "--role": options.role, "--bucket": options.bucket}
    given |= {"--kms-key": options.kms_key, "--tag": options.tags or None}
    for option, value in given.items():
        if value is not None:
            raise UsageError(f"{option} is for --batch.")
    if not model.startswith(ENDPOINT) and (options.region or options.profile):
        raise UsageError("--region and --profile are for endpoint:NAME and --batch.")


def find_pictures(files: Sequence[Path]) -> list[Path]:
    """Return the files, folders replaced by the pictures below them; raise DataError where one is not there."""
    found: list[Path] = []
    for path in files:
        if not (path.is_file() or path.is_dir()):
            raise DataError(f"Picture '{printable(str(path))}' does not exist, or is no file. Check its spelling.")
        within = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in PICTURES)
        if path.is_dir() and not within:
            raise DataError(f"Folder '{printable(str(path))}' holds no picture ({', '.join(PICTURES)}).")
        found += within if path.is_dir() else [path]
    return found


def name_drawings(pictures: Sequence[Path], folder: Path, overwrite: bool) -> dict[Path, Path]:
    """Return where each picture is drawn to: its own name below ``folder``, numbered where several share it.

    Raise UsageError where something stands there already, or where a picture would be drawn over itself.
    """
    named: dict[Path, Path] = {}
    for picture in dict.fromkeys(pictures):
        number, target = 1, folder / f"{picture.stem}.jpg"
        while target in named.values():
            number += 1
            target = folder / f"{picture.stem}-{number}.jpg"
        named[picture] = target
    asked = {picture.resolve() for picture in pictures}
    for target in named.values():
        if target.resolve() in asked:
            raise UsageError(f"{target} is one of the pictures asked about. Give another folder with --draw.")
        if target.exists() and not overwrite:
            raise UsageError(f"{target} exists already. Give another folder with --draw, or replace it: --overwrite.")
    return named


def _answers(
    predictor: tasks.Predictor, pictures: Sequence[Path], drawings: Mapping[Path, Path]
) -> Iterator[tuple[Path, Mapping[str, Any] | None]]:
    """Answer each picture and draw it where that is asked for; None for one that cannot be read, which is said."""
    for path in pictures:
        try:
            content = path.read_bytes()
            answer = predictor.predict(content)
        except (UnreadableFile, OSError) as error:
            reason = error.reason if isinstance(error, UnreadableFile) else error.strerror
            fault = "is too large" if isinstance(error, TooLarge) else "cannot be read"
            print(f"{printable(str(path))} {fault}: {reason}.", file=sys.stderr)
            yield path, None
            continue
        if path in drawings:
            _write(predictor.draw(content, answer), drawings[path])
            answer = {**answer, "drawn": str(drawings[path])}
        yield path, answer


def _write(picture: "np.ndarray", target: Path) -> None:
    from PIL import Image

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(target, format="JPEG", quality=JPEG_QUALITY)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror or error}. Give another --draw.") from error
