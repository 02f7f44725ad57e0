import pytest

from trainbox.errors import UsageError
from trainbox.platforms.sagemaker.asking.plan import Plan

GIVEN = {
    "region": "eu-west-1",
    "role": "arn:aws:iam::123456789012:role/service-role/trainbox",
    "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/trainbox:train",
    "bucket": "trainbox-123456789012",
    "instance_type": "ml.c5.2xlarge",
}


def test_a_plan_says_where_things_are_kept() -> None:
    plan = Plan(**GIVEN, prefix="laps/2026")
    assert plan.output == "s3://trainbox-123456789012/laps/2026/jobs"
    assert plan.checkpoints("lap-1") == "s3://trainbox-123456789012/laps/2026/checkpoints/lap-1/"


def test_the_wait_for_spot_is_never_shorter_than_the_run() -> None:
    assert Plan(**GIVEN, spot=True, max_runtime_seconds=600).wait_seconds == 1200
    assert Plan(**GIVEN, spot=True, max_runtime_seconds=28 * 86400).wait_seconds == 28 * 86400
    assert Plan(**GIVEN, spot=True, max_runtime_seconds=600, max_wait_seconds=700).wait_seconds == 700


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"region": "Ireland"}, "--region 'Ireland'"),
        ({"role": "trainbox"}, "arn:aws:iam::123456789012:role/trainbox"),
        ({"image": "two words"}, "--image 'two words'"),
        ({"bucket": "s3://bucket"}, "--bucket 's3://bucket'"),
        ({"instance_type": "c5.xlarge"}, "--instance-type 'c5.xlarge'"),
        ({"kms_key": "a key"}, "--kms-key 'a key'"),
        ({"prefix": "/x"}, "--prefix '/x'"),
        ({"instances": 0}, "--instances must be 1 to 1000. Received: 0."),
        ({"volume_gb": 0}, "--volume must be 1 to 16384 GB"),
        ({"max_runtime_seconds": 28 * 86400 + 1}, "--max-runtime must be 1 to 2419200 seconds"),
        ({"keep_alive_seconds": 21601}, "--keep-alive must be 0 to 21600 seconds"),
        ({"keep_alive_seconds": 60, "spot": True}, "Spot instances cannot be kept warm"),
        ({"max_wait_seconds": 60}, "Give it with --spot"),
        ({"spot": True, "max_runtime_seconds": 60, "max_wait_seconds": 59}, "--max-wait must be 60 to"),
        ({"subnets": ("subnet-1",)}, "Give --security-group too"),
        ({"security_groups": ("sg-1",)}, "Give --subnet too"),
        ({"subnets": ("subnet 1",), "security_groups": ("sg-1",)}, "--subnet 'subnet 1'"),
        ({"subnets": ("s",), "security_groups": ("sg",) * 6}, "--security-group can be given 5 times"),
        ({"tags": {"aws:x": "y"}}, "Tag 'aws:x' is not allowed"),
        ({"tags": {"trainbox": "y"}}, "set by Trainbox itself"),
        ({"tags": {"team": "{}"}}, "Tag 'team' cannot be '{}'"),
        ({"tags": {f"t{number}": "" for number in range(50)}}, "At most 49 tags"),
        ({"environment": {"1X": "y"}}, "--env '1X' is no name"),
        ({"environment": {"X": "y" * 513}}, "--env X is too long"),
        ({"environment": {"WANDB_API_KEY": "y"}}, "--env WANDB_API_KEY looks like a secret"),
        ({"environment": {"PLAIN": "AKIAIOSFODNN7EXAMPLE"}}, "--env PLAIN looks like a secret"),
    ],
)
def test_what_aws_would_refuse_is_refused_in_one_line(changes: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError) as refused:
        Plan(**(GIVEN | changes))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_secret_is_refused_without_being_repeated() -> None:
    with pytest.raises(UsageError) as refused:
        Plan(**GIVEN, environment={"DB_PASSWORD": "hunter2"})
    assert "hunter2" not in str(refused.value)
