"""``trainbox deploy``: a SageMaker endpoint that answers with a finished model."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainbox.cli import aws, hosting_options
from trainbox.cli.hosting_options import PREFIX, Chosen, print_json, say
from trainbox.errors import UsageError

if TYPE_CHECKING:
    from trainbox.platforms.sagemaker.hosting.deploying import Deployed
    from trainbox.platforms.sagemaker.hosting.request import Hosting, Instances, Serverless
    from trainbox.platforms.sagemaker.storage.artifact import Artifact


def deploy(
    model: Annotated[
        str, typer.Argument(metavar="MODEL|JOB", help="A model folder, its model.tar.gz, or a finished training job.")
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the endpoint, new or to be updated.")],
    serverless: Annotated[
        bool, typer.Option("--serverless", help="Pay by the answer and nothing while idle: the default.")
    ] = False,
    memory: Annotated[
        int | None, typer.Option(metavar="MB", help="Memory, serverless: 1024, 2048, ... 6144; 2048 if not given.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(metavar="N", help="Requests at once, serverless: 1 to 200; 5 if not given.")
    ] = None,
    instance_type: Annotated[
        str | None,
        typer.Option(metavar="TYPE", help="Machines of its own, such as ml.m5.large, paid while they stand."),
    ] = None,
    instances: Annotated[
        int | None, typer.Option(metavar="N", help="How many machines; if not given 1, or what the endpoint has.")
    ] = None,
    autoscale: Annotated[
        str | None,
        typer.Option(metavar="MIN:MAX", help="From MIN to MAX machines by load; if not given, as the endpoint does."),
    ] = None,
    capture: Annotated[
        int, typer.Option(metavar="PERCENT", help="With --instance-type, keep so many requests in S3.")
    ] = 0,
    file: Annotated[str, typer.Option(metavar="NAME", help="The .tflite file of the model to serve.")] = "model.tflite",
    image: hosting_options.Image = None,
    role: hosting_options.Role = None,
    bucket: hosting_options.Bucket = None,
    region: aws.Region = None,
    profile: aws.Profile = None,
    kms_key: hosting_options.KmsKey = None,
    tags: hosting_options.Tags = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What to try it with; one of the model's report if not given.")
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait until it is in service, nor try it.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be asked of AWS, and make nothing.")
    ] = False,
    as_json: aws.AsJson = False,
) -> None:
    """Make a SageMaker endpoint of a model, or update one in place.

    It is tried with a picture. What fails leaves nothing that costs money, and an endpoint that stood as it was.

    \b
    Example: trainbox deploy pilot my-pilot --memory 2048
    """
    from trainbox.platforms.sagemaker.aws.leaving import Signals
    from trainbox.platforms.sagemaker.hosting import checks, deploying
    from trainbox.platforms.sagemaker.hosting.request import refuse_name
    from trainbox.platforms.sagemaker.storage import artifact as artifacts

    refuse_name(name)
    on = _machines(serverless, memory, concurrency, instance_type, instances, autoscale, capture)
    _refuse_unwaited(autoscale, no_wait)
    options = hosting_options.Given(region, profile, image, role, bucket, kms_key, tags or ()).chosen()
    shown = _read_picture(picture) if picture else None
    with Signals().handled() as signals, artifacts.opened(model, options.account, say) as artifact:
        artifact.refuse_unserved(file)
        hosting = _hosting(name, on, file, artifact, options)
        if dry_run:
            print_json(_requests(hosting))
            return
        checks.refuse_unknown_type(hosting)
        _warn(hosting, options)
        account = options.account()
        artifacts.send(account, artifact, hosting.model_data, say, options.kms_key)
        tried_with = shown or artifact.picture or checks.drawn_picture()
        result = deploying.deploy(account, hosting, tried_with, say, not no_wait, signals)
    _print(result, hosting, as_json)


def _machines(
    serverless: bool,
    memory: int | None,
    concurrency: int | None,
    instance_type: str | None,
    instances: int | None,
    autoscale: str | None,
    capture: int,
) -> "Serverless | Instances":
    """Return what the model is hosted on; raise UsageError for options that do not go together."""
    from trainbox.platforms.sagemaker.hosting.request import Instances, Serverless

    if instance_type is None:
        for option, given, instead in (
            ("--instances", instances is not None, "it has as many as are asked for, up to --concurrency"),
            ("--autoscale", autoscale is not None, "it scales by itself, from nothing to --concurrency"),
            ("--capture", bool(capture), "SageMaker captures nothing there"),
        ):
            if given:
                raise UsageError(f"Serverless hosting has no {option}: {instead}. It is for --instance-type.")
        return Serverless(
            **{key: value for key, value in (("memory_mb", memory), ("concurrency", concurrency)) if value is not None}
        )
    if serverless or memory is not None or concurrency is not None:
        raise UsageError(
            "--serverless, --memory and --concurrency are for hosting without machines of its own "
            "(which has no GPU and no VPC). Leave out either them or --instance-type."
        )
    return Instances(instance_type, instances, _bounds(autoscale), capture)


def _bounds(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    least, _, most = text.partition(":")
    if not (least.isdecimal() and most.isdecimal()):
        raise UsageError(f"--autoscale is MIN:MAX, such as 1:4. Received: '{text}'.")
    return int(least), int(most)


def _refuse_unwaited(autoscale: str | None, no_wait: bool) -> None:
    if autoscale and no_wait:
        raise UsageError("Scaling is set once the endpoint is in service. Leave out --no-wait or --autoscale.")


def _hosting(name: str, on: "Serverless | Instances", file: str, artifact: "Artifact", options: Chosen) -> "Hosting":
    from trainbox.platforms.sagemaker.hosting.request import Hosting, Instances

    role, image = options.role_and_image(artifact)
    if isinstance(on, Instances) and on.capture_percent and not options.bucket:
        raise UsageError("Captured requests go to a bucket. Give --bucket, or write bucket into trainbox.toml.")
    return Hosting(
        name,
        artifact.task,
        image,
        role,
        options.account().region,
        artifact.place(options.bucket, PREFIX),
        artifact.digest,
        on,
        file,
        f"s3://{options.bucket}/{PREFIX}/captures/{name}",
        options.settings.subnets,
        options.settings.security_groups,
        options.kms_key,
        options.tags,
    )


def _read_picture(given: Path) -> bytes:
    """Return what the endpoint is tried with; raise UsageError where it is no picture."""
    from trainbox.data.files import UnreadableFile
    from trainbox.data.images import decode_rgb

    try:
        content = given.read_bytes()
        decode_rgb(content)
    except (OSError, UnreadableFile) as problem:
        reason = problem.reason if isinstance(problem, UnreadableFile) else problem.strerror
        raise UsageError(f"--picture {given} cannot be read: {reason}.") from problem
    return content


def _requests(hosting: "Hosting") -> dict[str, Any]:
    """Return what would be asked, checked against botocore's model of SageMaker."""
    from trainbox.platforms.sagemaker.hosting import checks, scaling
    from trainbox.platforms.sagemaker.hosting.request import Instances

    checks.refuse_unknown_type(hosting)
    asked = {
        "CreateModel": hosting.model,
        "CreateEndpointConfig": hosting.configuration,
        "CreateEndpoint": hosting.endpoint,
    }
    checks.refuse_malformed("sagemaker", asked)
    scaled: dict[str, Any] = {}
    if isinstance(hosting.on, Instances) and hosting.on.autoscale:
        scaled["RegisterScalableTarget"] = scaling.target(hosting.name, hosting.on.autoscale, hosting.task)
        scaled["PutScalingPolicy"] = scaling.policy(hosting.name)
        checks.refuse_malformed(scaling.SERVICE, scaled)
    return {"region": hosting.region, **asked, **scaled}


def _warn(hosting: "Hosting", options: Chosen) -> None:
    from trainbox.platforms.sagemaker.hosting.request import Instances, Serverless

    if isinstance(hosting.on, Serverless) and options.settings.subnets:
        say("Serverless hosting is in no VPC: the subnets of trainbox.toml are left out.")
    if isinstance(hosting.on, Instances) and hosting.on.has_gpu:
        say(f"{hosting.on.instance_type} has a GPU, which serving leaves idle: ml.m5.large answers as well for less.")


def _print(result: "Deployed", hosting: "Hosting", as_json: bool) -> None:
    from trainbox.platforms.sagemaker.hosting.checks import idle_cost

    ask = f"trainbox predict endpoint:{result.endpoint} FILE..."
    cost = idle_cost(hosting, result.instances)
    if as_json:
        names = {"model": hosting.model["ModelName"], "configuration": hosting.configuration["EndpointConfigName"]}
        print_json({**asdict(result), **names, "region": hosting.region, "ask": ask, "idle_cost": cost})
        return
    print(f"Endpoint '{result.endpoint}' in {hosting.region}: {result.outcome}, {result.status}.")
    if result.said:
        print(f"Tried with a picture: {result.said} ({result.seconds:.2f} s).")
    print(f"Ask it: {ask}")
    print(f"{cost} Remove it: trainbox undeploy {result.endpoint}")
