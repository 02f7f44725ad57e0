"""How and where SageMaker runs a training job: which machines for how long, as whom, and where its data is kept."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from trainbox.errors import UsageError
from trainbox.platforms.sagemaker.aws.names import OUR_TAG, ROLE

DAY = 24 * 60 * 60
DEFAULT_MAX_RUNTIME = DAY
LONGEST_RUNTIME = 28 * DAY
LONGEST_KEEP_ALIVE = 6 * 60 * 60
LEAST_VOLUME_GB = 30
"""What SageMaker's own clients ask for: image, model and checkpoints want room too."""
LARGEST_VOLUME_GB = 16 * 1024
DECODED = 12
"""What a picture of a tub takes when it is decoded, in times of its file; large pictures take less."""
LEAST_OWN_DISK_GB = 125
"""The smallest disk in a machine that has its own, ml.g4dn.xlarge's: SageMaker refuses volumes larger than the disk."""
MOST_SUBNETS, MOST_SECURITY_GROUPS, MOST_TAGS, MOST_VARIABLES = 16, 5, 50, 100

_PATTERNS = {
    "region": (r"[a-z]{2,}(-[a-z]+)+-\d", "eu-west-1"),
    "role": (ROLE.pattern, "arn:aws:iam::123456789012:role/trainbox"),
    "image": (r"[a-zA-Z0-9][^\s]{0,254}", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/trainbox:train"),
    "bucket": (r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "trainbox-123456789012-eu-west-1"),
    "prefix": (r"[a-zA-Z0-9!_.*'()-]+(/[a-zA-Z0-9!_.*'()-]+)*", "trainbox"),
    "instance_type": (r"ml\.[a-z][a-z0-9-]*\.[a-z0-9]+", "ml.c5.2xlarge"),
    "kms_key": (r"[a-zA-Z0-9:/_-]{1,2048}", "a key's ARN, its id, or alias/NAME"),
}
_NETWORK = re.compile(r"[-0-9a-zA-Z]{1,32}")
_TAG = re.compile(r"[\w\s.:/=+\-@]*")
_VARIABLE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,511}")
_SECRET_NAME = re.compile(r"(?i)(secret|passw|(^|_)token(_|$)|credential|api_?key|access_?key|private_?key)")
_SECRET_VALUE = re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----")


@dataclass(frozen=True)
class Plan:
    """What a training job needs of SageMaker beside what it trains. Raises UsageError where AWS would refuse it.

    ``max_runtime_seconds`` is the time that may be billed, ``max_wait_seconds`` that and the wait for a spot instance
    together; ``keep_alive_seconds`` keeps the machine warm for the next job, and is billed.
    """

    region: str
    role: str
    image: str
    bucket: str
    instance_type: str
    prefix: str = "trainbox"
    instances: int = 1
    volume_gb: int = LEAST_VOLUME_GB
    spot: bool = False
    max_runtime_seconds: int = DEFAULT_MAX_RUNTIME
    max_wait_seconds: int | None = None
    keep_alive_seconds: int = 0
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    kms_key: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _PATTERNS:
            _refuse_malformed(name, getattr(self, name))
        _refuse_outside("--instances", self.instances, 1, 1000)
        _refuse_outside("--volume", self.volume_gb, 1, LARGEST_VOLUME_GB, "GB")
        _refuse_outside("--max-runtime", self.max_runtime_seconds, 1, LONGEST_RUNTIME, "seconds")
        _refuse_outside("--keep-alive", self.keep_alive_seconds, 0, LONGEST_KEEP_ALIVE, "seconds")
        self._check_spot()
        _check_network(self.subnets, self.security_groups)
        check_tags(self.tags)
        _check_environment(self.environment)

    @property
    def wait_seconds(self) -> int:
        """The longest that a spot job may take from its creation; twice its run time where that was not given."""
        return self.max_wait_seconds or min(2 * self.max_runtime_seconds, LONGEST_RUNTIME)

    @property
    def output(self) -> str:
        """Where SageMaker puts what jobs made: JOB/output/model.tar.gz below it."""
        return f"s3://{self.bucket}/{self.prefix}/jobs"

    def checkpoints(self, job: str) -> str:
        """Return where a job's checkpoints are kept: its own, so that no other job resumes from them.

        It ends in a slash: SageMaker takes it for the beginning of keys, and lap-1 is one of lap-10 too.
        """
        return f"s3://{self.bucket}/{self.prefix}/checkpoints/{job}/"

    def _check_spot(self) -> None:
        if self.spot and self.keep_alive_seconds:
            raise UsageError("Spot instances cannot be kept warm. Leave out --keep-alive or --spot.")
        if self.max_wait_seconds is None:
            return
        if not self.spot:
            raise UsageError("--max-wait is how long to wait for a spot instance. Give it with --spot.")
        _refuse_outside("--max-wait", self.max_wait_seconds, self.max_runtime_seconds, LONGEST_RUNTIME, "seconds")


def has_own_disk(instance_type: str) -> bool:
    """Tell whether the machine has disks in it: it encrypts them by itself, and SageMaker takes no key for them."""
    family = instance_type.split(".")[1]
    return bool(re.match(r"(g4dn|g5|g6|g6e|g7|g7e|p3dn|p4d|p4de|p5|p5e|p5en|p6|trn|[a-z]\d[a-z]*d$)", family))


def volume_for(data_bytes: int | None, instance_type: str) -> int:
    """Return the gigabytes that a job with so much data wants: data, decoded pictures, image and checkpoints."""
    wanted = LEAST_VOLUME_GB + math.ceil(data_bytes * (1 + DECODED) / 1e9) if data_bytes else LEAST_VOLUME_GB
    most = LEAST_OWN_DISK_GB if has_own_disk(instance_type) else LARGEST_VOLUME_GB
    return min(wanted, most)


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise UsageError where AWS would not take the tags, or where one is named as ours is."""
    if len(tags) > MOST_TAGS - 1:
        raise UsageError(f"At most {MOST_TAGS - 1} tags beside our own. Received: {len(tags)}.")
    for key, value in tags.items():
        if key.lower().startswith("aws:") or not 1 <= len(key) <= 128 or not _TAG.fullmatch(key):
            raise UsageError(f"Tag {key!r} is not allowed. Use 1 to 128 letters, digits, spaces and _.:/=+-@.")
        if key == OUR_TAG:
            raise UsageError(f"The tag '{OUR_TAG}' is set by Trainbox itself. Give yours another name.")
        if len(value) > 256 or not _TAG.fullmatch(value):
            raise UsageError(f"Tag '{key}' cannot be {value!r}. Use up to 256 letters, digits, spaces and _.:/=+-@.")


def _refuse_malformed(name: str, value: str | None) -> None:
    pattern, example = _PATTERNS[name]
    if value is not None and not re.fullmatch(pattern, value, re.ASCII):
        option = "--" + name.replace("_", "-")
        raise UsageError(f"{option} {value!r} is not one that AWS would take. It looks like: {example}.")


def _refuse_outside(option: str, value: int, least: int, most: int, unit: str = "") -> None:
    if not least <= value <= most:
        raise UsageError(f"{option} must be {least} to {most}{f' {unit}' if unit else ''}. Received: {value}.")


def _check_network(subnets: tuple[str, ...], security_groups: tuple[str, ...]) -> None:
    if bool(subnets) != bool(security_groups):
        missing = "--security-group" if subnets else "--subnet"
        raise UsageError(f"A job in a VPC needs subnets and security groups. Give {missing} too.")
    for option, given, most in (
        ("--subnet", subnets, MOST_SUBNETS),
        ("--security-group", security_groups, MOST_SECURITY_GROUPS),
    ):
        if len(given) > most:
            raise UsageError(f"{option} can be given {most} times at most. Received: {len(given)}.")
        for one in given:
            if not _NETWORK.fullmatch(one):
                raise UsageError(f"{option} {one!r} is not one that AWS would take. Use its id.")


def _check_environment(environment: Mapping[str, str]) -> None:
    """Raise UsageError where AWS would refuse a variable, or where it looks like a secret.

    Whoever may look at a job sees its environment: it is no place for keys, and the role makes them needless.
    """
    if len(environment) > MOST_VARIABLES:
        raise UsageError(f"At most {MOST_VARIABLES} variables in --env. Received: {len(environment)}.")
    for name, value in environment.items():
        if not _VARIABLE.fullmatch(name):
            raise UsageError(f"--env {name!r} is no name of a variable. Use letters, digits and '_'.")
        if len(value) > 512:
            raise UsageError(f"--env {name} is too long: at most 512 characters. Received: {len(value)}.")
        if _SECRET_NAME.search(name) or _SECRET_VALUE.search(value):
            raise UsageError(
                f"--env {name} looks like a secret, and whoever may look at a job sees its environment. "
                "Let the role read it where it is kept."
            )
