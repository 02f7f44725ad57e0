"""What ``trainbox predict --batch`` does: a model asked about everything below a prefix of S3."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from trainbox.cli.hosting_options import PREFIX, Chosen, Given, print_json, say
from trainbox.errors import UsageError

if TYPE_CHECKING:
    from trainbox.platforms.sagemaker.hosting.transform import Batch
    from trainbox.platforms.sagemaker.storage.artifact import Artifact

INSTANCE_TYPE = "ml.m5.large"
MOST_NAMED = 10
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")


def run(
    model: str,
    source: str,
    out: str,
    instance_type: str | None,
    instances: int | None,
    given: Given,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Ask ``model`` about all below ``source``, and say what came of it; raise what the platform raises."""
    from trainbox.platforms.sagemaker.aws.leaving import Signals
    from trainbox.platforms.sagemaker.hosting import checks, transform
    from trainbox.platforms.sagemaker.storage import artifact as artifacts
    from trainbox.platforms.sagemaker.storage import inputs

    options = given.chosen()
    for address in (source, out):
        inputs.split(address)
    with Signals().handled() as signals, artifacts.opened(model, options.account, say) as artifact:
        account = options.account()
        objects = {} if dry_run else transform.pictures_of(account, source)
        batch = _batch(model, source, out, (instance_type or INSTANCE_TYPE, instances), artifact, options, objects)
        checks.refuse_type(batch.instance_type, "TransformInstanceType")
        asked = {"CreateModel": batch.model, "CreateTransformJob": batch.transform_job}
        checks.refuse_malformed("sagemaker", asked)
        if dry_run:
            print_json({"region": account.region, **asked})
            return
        _say_what_is_there(objects, source)
        artifacts.send(account, artifact, batch.model_data, say, options.kms_key)
        result = transform.transform(account, batch, objects, say, signals)
    if as_json:
        print_json({**asdict(result), "region": account.region})
        return
    print(f"{result.answered} of {result.objects} objects were answered in {result.seconds:.0f} s: {result.out}")
    for key in result.unanswered[:MOST_NAMED]:
        print(f"No answer: {key}")


def _batch(
    model: str,
    source: str,
    out: str,
    machines: tuple[str, int | None],
    artifact: "Artifact",
    options: Chosen,
    objects: dict[str, int],
) -> "Batch":
    from trainbox.platforms.sagemaker.hosting import transform

    artifact.refuse_unserved("model.tflite")
    role, image = options.role_and_image(artifact)
    named: dict[str, Any] = {} if machines[1] is None else {"instances": machines[1]}
    return transform.Batch(
        transform.name_of(model),
        artifact.task,
        image,
        role,
        options.account().region,
        artifact.place(options.bucket, PREFIX),
        source,
        out,
        machines[0],
        largest=max(objects.values(), default=0),
        kms_key=options.kms_key,
        tags=options.tags,
        **named,
    )


def _say_what_is_there(objects: dict[str, int], source: str) -> None:
    strays = [key for key in objects if not key.lower().endswith(PICTURES)]
    if len(strays) == len(objects):
        raise UsageError(f"None of the {len(objects)} objects below {source} is named as a picture is.")
    say(f"{len(objects)} objects lie below {source}.")
    if strays:
        say(f"{len(strays)} are not named as pictures are, such as {strays[0]}: the job fails where one is none.")
