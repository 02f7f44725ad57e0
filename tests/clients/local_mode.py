"""Drive an image with the SageMaker SDK's local mode, as its users do: run in an environment that has it.

Reads a request from standard input and writes the answer as the last line of standard output, both JSON.
"""

import json
import sys
import tempfile
from pathlib import Path

import boto3
import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.local import LocalSession
from sagemaker.serializers import DataSerializer

ROLE = "arn:aws:iam::123456789012:role/nobody"


def main() -> None:
    request = json.load(sys.stdin)
    session = LocalSession(boto3.Session(region_name="eu-west-1"))
    session.config = {
        "local": {"local_code": False, "serving_port": request["port"], "container_root": request["scratch"]}
    }
    tempfile.tempdir = request["scratch"]
    estimator = Estimator(
        image_uri=request["image"],
        role=ROLE,
        instance_count=1,
        instance_type="local",
        sagemaker_session=session,
        output_path=f"file://{request['out']}",
        hyperparameters=request["hyperparameters"],
    )
    estimator.fit({name: f"file://{path}" for name, path in request["channels"].items()})
    answer = {"version": sagemaker.__version__, "prediction": predicted(estimator, request)}
    answer["transformed"] = transformed(estimator, request)
    print()
    print(json.dumps(answer))


def predicted(estimator: Estimator, request: dict) -> dict:
    """Deploy, ask about a picture, and take the endpoint down."""
    serializer = DataSerializer(content_type="image/jpeg")
    predictor = estimator.deploy(1, "local", serializer=serializer, deserializer=JSONDeserializer())
    try:
        return predictor.predict(Path(request["picture"]).read_bytes())
    finally:
        predictor.delete_endpoint()


def transformed(estimator: Estimator, request: dict) -> dict:
    """Transform a folder of pictures; return each answer's name and text."""
    out = Path(request["out"]) / "transformed"
    transformer = estimator.transformer(1, "local", output_path=f"file://{out}", strategy="SingleRecord")
    transformer.transform(f"file://{request['pictures']}", content_type="image/jpeg", wait=False, logs=False)
    return {path.name: path.read_text() for path in sorted(out.rglob("*")) if path.is_file()}


if __name__ == "__main__":
    main()
