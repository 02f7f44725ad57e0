"""What is checked of a deployment before anything is made, what it is tried with, and what it costs while idle."""

import difflib
import io
from collections.abc import Mapping
from functools import cache
from typing import Any

from trainbox.errors import UsageError
from trainbox.platforms import prices
from trainbox.platforms.sagemaker.aws.failures import AwsRefused
from trainbox.platforms.sagemaker.hosting.request import Hosting, Serverless

SIZE = (320, 240)


def refuse_unknown_type(hosting: Hosting) -> None:
    """Raise UsageError for an instance type that SageMaker, as this boto3 knows it, does not host on."""
    if isinstance(hosting.on, Serverless):
        return
    refuse_type(hosting.on.instance_type, "ProductionVariantInstanceType")


def refuse_type(instance_type: str, shape: str) -> None:
    """Raise UsageError for an instance type that is none of a shape of SageMaker's; ``shape`` is botocore's name."""
    known = _service("sagemaker").shape_for(shape).enum
    if instance_type in known:
        return
    close = difflib.get_close_matches(instance_type, known, n=1)
    hint = f"Did you mean '{close[0]}'?" if close else "Take one such as ml.m5.large."
    raise UsageError(f"SageMaker has no '{instance_type}' for this, as far as this boto3 knows. {hint}")


def refuse_malformed(service: str, requests: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise AwsRefused where botocore would not send one of these requests to a service, by operation."""
    from botocore.validate import ParamValidator

    for operation, request in requests.items():
        shape = _service(service).operation_model(operation).input_shape
        report = ParamValidator().validate(request, shape)
        if report.has_errors():
            raise AwsRefused(f"{operation} would be refused: {' '.join(report.generate_report().split())}.")


@cache
def _service(name: str) -> Any:
    """Return botocore's model of a service: no credentials are looked for."""
    from botocore.session import get_session

    return get_session().get_service_model(name)


def drawn_picture() -> bytes:
    """Return a picture to try a model with where there is none of its own: shapes on a gradient, as JPEG."""
    from PIL import Image, ImageDraw

    picture = Image.linear_gradient("L").resize(SIZE).convert("RGB")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((40, 60, 120, 140), fill=(200, 60, 40))
    pen.rectangle((180, 90, 260, 170), fill=(40, 90, 200))
    pen.polygon(((150, 20), (190, 70), (110, 70)), fill=(60, 170, 70))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def idle_cost(hosting: Hosting, instances: int) -> str:
    """Say what the endpoint costs while nobody asks it, with so many machines."""
    if isinstance(hosting.on, Serverless):
        return f"While nobody asks it costs nothing; answers cost by the time that {hosting.on.memory_mb} MB compute."
    on, count = hosting.on, hosting.on.autoscale[0] if hosting.on.autoscale else instances
    words = f"It costs {count} {on.instance_type} for as long as it stands, asked or not"
    found = prices.price(on.instance_type, hosting.region)
    if not found:
        return f"{words}."
    hourly = count * found.usd_per_hour
    # The table is of training: hosting costs the same or little else on most machines.
    return f"{words}: about {hourly:.2f} USD an hour, {hourly * 24:.2f} USD a day (prices of training, {found.as_of})."
