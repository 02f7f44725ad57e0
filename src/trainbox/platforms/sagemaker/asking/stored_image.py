"""An image in Amazon ECR, looked at before a job is made of it: SageMaker would only say so after it was begun."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trainbox.platforms.containers import PLATFORM
from trainbox.platforms.pushing import DOCKER_MANIFEST, MANIFESTS
from trainbox.platforms.sagemaker.asking.estimate import has_gpu
from trainbox.platforms.sagemaker.asking.plan import Plan
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import AwsFailed, AwsRefused, said_by_aws
from trainbox.platforms.sagemaker.aws.names import IMAGE

PUSH = "Push it with: trainbox image push"
LARGEST_CONFIGURATION = 4 << 20
SECONDS_TO_ANSWER = 30

Say = Callable[[str], None]


@dataclass(frozen=True)
class Address:
    """Where an image is in ECR; it is known by its digest where there is one, else by its tag."""

    account: str
    region: str
    repository: str
    tag: str
    digest: str | None

    @classmethod
    def parse(cls, image: str) -> "Address":
        """Read an address; raise AwsRefused where it is none of ECR's."""
        found = IMAGE.fullmatch(image)
        if not found:
            raise AwsRefused(f"'{image}' is no image in Amazon ECR, where SageMaker fetches them. {PUSH}")
        return cls(found["account"], found["region"], found["repository"], found["tag"] or "latest", found["digest"])

    @property
    def id(self) -> dict[str, str]:
        """What ECR's API calls it by."""
        return {"imageDigest": self.digest} if self.digest else {"imageTag": self.tag}


def check(account: Account, plan: Plan, say: Say) -> None:
    """Raise AwsRefused where SageMaker could not run the plan's image; say where it would not use the machine's GPU."""
    address = Address.parse(plan.image)
    if address.region != account.region:
        raise AwsRefused(
            f"The image is in {address.region}, and the job in {account.region}. {PUSH} --region {account.region}"
        )
    manifest = _manifest(account, address, plan.image)
    configuration = _configuration(account, address, manifest)
    made_for = f"{configuration.get('os', '?')}/{configuration.get('architecture', '?')}"
    if made_for != PLATFORM:
        raise AwsRefused(f"The image is made for {made_for}, and SageMaker runs {PLATFORM}. {PUSH}")
    variables = (configuration.get("config") or {}).get("Env") or []
    if has_gpu(plan.instance_type) and not any(one.startswith("NVIDIA_VISIBLE_DEVICES=") for one in variables):
        say(
            f"Warning: the image does not use GPUs, and {plan.instance_type} is paid for its own. Push one that does "
            "(trainbox image build --gpu), or give an --instance-type without."
        )


def _manifest(account: Account, address: Address, image: str) -> Mapping[str, Any]:
    try:
        with said_by_aws(f"look at the image {image}"):
            answer = account.client("ecr").batch_get_image(
                registryId=address.account,
                repositoryName=address.repository,
                imageIds=[address.id],
                acceptedMediaTypes=list(MANIFESTS),
            )
    except AwsFailed as problem:
        if problem.code != "RepositoryNotFoundException":
            raise
        answer = {}
    if not answer.get("images"):
        raise AwsRefused(f"There is no image {image}. {PUSH}")
    found = answer["images"][0]
    manifest: dict[str, Any] = json.loads(found["imageManifest"])
    media_type = found.get("imageManifestMediaType") or manifest.get("mediaType", "")
    if media_type != DOCKER_MANIFEST:
        raise AwsRefused(f"The image is of the type {media_type}, and SageMaker takes {DOCKER_MANIFEST}. {PUSH}")
    return manifest


def _configuration(account: Account, address: Address, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the image says of itself, which ECR keeps as one more layer."""
    with said_by_aws(f"look into the image '{address.repository}'"):
        place = account.client("ecr").get_download_url_for_layer(
            registryId=address.account,
            repositoryName=address.repository,
            layerDigest=manifest["config"]["digest"],
        )["downloadUrl"]
    try:
        # The address is AWS's own answer, signed, and good for an hour.
        with urllib.request.urlopen(place, timeout=SECONDS_TO_ANSWER) as answer:  # noqa: S310
            document: dict[str, Any] = json.loads(answer.read(LARGEST_CONFIGURATION))
            return document
    except (urllib.error.URLError, OSError, ValueError) as problem:
        raise AwsFailed(f"Cannot look into the image '{address.repository}': {problem}.") from problem
