"""The image in Amazon ECR: one push, into a repository made where it is missing, and what came of it."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trainbox.errors import UsageError
from trainbox.platforms import containers, pushing
from trainbox.platforms.containers import DockerFailed
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import AwsFailed, AwsRefused, said_by_aws
from trainbox.platforms.sagemaker.setup import repository as repositories

REPOSITORY_NAME = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
LABEL = "org.opencontainers.image."
DIGITS_OF_REVISION = 12

Say = Callable[[str], None]


@dataclass(frozen=True)
class Pushed:
    """An image in ECR. ``address`` names it by digest: what jobs and endpoints are given."""

    address: str
    tag: str
    digest: str
    media_type: str
    made_repository: bool
    was_there: bool


@dataclass(frozen=True)
class _Stored:
    """What ECR holds under a tag."""

    digest: str
    media_type: str
    manifest: Mapping[str, Any]

    def is_image(self, found: Mapping[str, Any]) -> bool:
        """Tell whether it is what Docker has, which it names by its configuration's digest or its manifest's."""
        return found["Id"] in (self.digest, self.manifest.get("config", {}).get("digest"))


class TagTaken(AwsRefused):
    """The tag is another image's, and the repository's tags are not moved."""


def push(account: Account, image: str, repository: str | None, tag: str | None, say: Say) -> Pushed:
    """Push an image of this machine's to ECR and return where it is; the repository is made where it is missing.

    Nothing is asked of AWS before the image is known to be one that SageMaker takes. Raises UsageError, DockerFailed
    and AwsFailed; TagTaken where the tag is another image's and cannot be moved.
    """
    found = _fit(image)
    name, tag = repository or default_repository(image), tag or default_tag(image, found)
    _check_names(name, tag)
    described, made = repositories.ensure(account, name, say)
    stored = None if made else _stored(account, name, tag)
    was_there = stored is not None and stored.is_image(found)
    if stored and not was_there and not repositories.moves(described, tag):
        raise _taken(name, tag, stored.digest, image, found)
    if stored is None or not was_there:
        stored = _upload(account, image, name, f"{described['repositoryUri']}:{tag}", say)
    pushing.refuse_foreign_media_type(image, stored.media_type, f"{name}:{tag} in ECR")
    return Pushed(
        f"{described['repositoryUri']}@{stored.digest}", tag, stored.digest, stored.media_type, made, was_there
    )


def default_repository(image: str) -> str:
    """Return an image's name without registry and tag: "trainbox" for trainbox:train."""
    name = _without_tag(image)[0]
    first, separator, rest = name.partition("/")
    # Docker's rule for what is a host.
    return rest if separator and ("." in first or ":" in first or first == "localhost") else name


def default_tag(image: str, found: Mapping[str, Any]) -> str:
    """Return a tag that no other image has: what it was tagged here, its version, and its revision or its identity."""
    labels = (found.get("Config") or {}).get("Labels") or {}
    here = _without_tag(image)[1]
    unique = labels.get(f"{LABEL}revision") or found["Id"].rpartition(":")[2]
    words = [here if here != "latest" else "", labels.get(f"{LABEL}version", ""), unique[:DIGITS_OF_REVISION]]
    return "-".join(re.sub(r"[^\w.-]", "-", word, flags=re.ASCII) for word in words if word)


def _fit(image: str) -> Mapping[str, Any]:
    containers.about()
    found = containers.require_image(image)
    pushing.refuse_foreign_platform(image, found)
    # Only an engine that stores images as containerd does says their type: it pushes them as they are.
    pushing.refuse_foreign_media_type(image, (found.get("Descriptor") or {}).get("mediaType"))
    return found


def _without_tag(image: str) -> tuple[str, str]:
    name = image.partition("@")[0]
    head, separator, last = name.rpartition("/")
    base, _, tag = last.partition(":")
    return head + separator + base, tag


def _check_names(repository: str, tag: str) -> None:
    if not REPOSITORY_NAME.fullmatch(repository) or not 2 <= len(repository) <= 256:
        raise UsageError(
            f"'{repository}' is no name of a repository in ECR. Give one with --repository, as in trainbox."
        )
    if not TAG.fullmatch(tag):
        raise UsageError(f"'{tag}' is no tag: letters, digits and ._- only. Give another with --tag.")


def _stored(account: Account, repository: str, tag: str) -> _Stored | None:
    with said_by_aws(f"look at the image '{repository}:{tag}'"):
        answer = account.client("ecr").batch_get_image(
            repositoryName=repository, imageIds=[{"imageTag": tag}], acceptedMediaTypes=list(pushing.MANIFESTS)
        )
    for one in answer.get("images", []):
        manifest = json.loads(one["imageManifest"])
        said = one.get("imageManifestMediaType") or manifest.get("mediaType", "")
        return _Stored(one["imageId"]["imageDigest"], said, manifest)
    return None


def _taken(repository: str, tag: str, digest: str, image: str, found: Mapping[str, Any]) -> TagTaken:
    usual = default_tag(image, found)
    other = usual if usual != tag else f"{tag}-{found['Id'].rpartition(':')[2][:DIGITS_OF_REVISION]}"
    return TagTaken(
        f"The tag '{tag}' of the repository '{repository}' is another image's ({digest[:19]}), and it is immutable. "
        f"Give another: --tag {other}"
    )


def _upload(account: Account, image: str, repository: str, reference: str, say: Say) -> _Stored:
    user, password = _token(account)
    tag = reference.rpartition(":")[2]
    with pushing.logged_in(reference.partition("/")[0], user, password) as environment:
        containers.asked("tag", image, reference)
        say(f"Pushing {image} to {reference} ...")
        try:
            pushing.push(reference, environment)
        except DockerFailed as problem:
            if "immutable" in str(problem):
                raise TagTaken(f"{problem} Somebody else has just pushed '{tag}'. Give another --tag.") from problem
            raise
    stored = _stored(account, repository, tag)
    if stored is None:
        raise AwsFailed(f"{reference} was pushed, and ECR does not know of it. Push it again.")
    return _kept_if_fit(account, image, repository, reference, stored)


def _kept_if_fit(account: Account, image: str, repository: str, reference: str, stored: _Stored) -> _Stored:
    """Return what was pushed; where SageMaker would refuse it, take its tag away again, for an image that is fit.

    By its digest it would go with the tags of others: ECR removes it by itself with the last of them.
    """
    try:
        pushing.refuse_foreign_media_type(image, stored.media_type, reference)
    except DockerFailed:
        with said_by_aws(f"take {reference} out again, which SageMaker would refuse"):
            tag = reference.rpartition(":")[2]
            account.client("ecr").batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": tag}])
        raise
    return stored


def _token(account: Account) -> tuple[str, str]:
    """Return user and password for the registry, good for twelve hours."""
    with said_by_aws("get a token for the registry"):
        answer = account.client("ecr").get_authorization_token()
    user, _, password = base64.b64decode(answer["authorizationData"][0]["authorizationToken"]).decode().partition(":")
    return user, password
