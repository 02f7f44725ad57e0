"""What is taken for a role's ARN and for an image's address."""

import pytest

from trainbox.platforms.sagemaker.aws.names import IMAGE, ROLE

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("arn", "account", "name"),
    [
        ("arn:aws:iam::123456789012:role/trainbox", "123456789012", "trainbox"),
        ("arn:aws-cn:iam::123456789012:role/service-role/a.b@c", "123456789012", "a.b@c"),
        ("arn:aws-us-gov:iam::000000000000:role/a/b/c", "000000000000", "c"),
    ],
)
def test_roles(arn: str, account: str, name: str) -> None:
    found = ROLE.fullmatch(arn)
    assert found and found.group("account", "name") == (account, name)


@pytest.mark.parametrize(
    "arn",
    [
        "trainbox",
        "arn:aws:iam::12345678901:role/trainbox",
        "arn:aws:iam::123456789012:user/trainbox",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::123456789012:role/a b/trainbox",
        "arn:aws:iam::123456789012:role/" + "x" * 65,
        "arn:aws:iam::123456789012:role/trainbox\n",
    ],
)
def test_no_roles(arn: str) -> None:
    assert not ROLE.fullmatch(arn)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        (
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/trainbox:train",
            ("123456789012", "eu-west-1", "trainbox", "train", None),
        ),
        (
            f"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/me/detectors@{DIGEST}",
            ("123456789012", "cn-north-1", "me/detectors", None, DIGEST),
        ),
        (
            f"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com/a:1@{DIGEST}",
            ("123456789012", "us-gov-west-1", "a", "1", DIGEST),
        ),
    ],
)
def test_images(address: str, parts: tuple[str | None, ...]) -> None:
    found = IMAGE.fullmatch(address)
    assert found and found.group("account", "region", "repository", "tag", "digest") == parts


@pytest.mark.parametrize(
    "address", ["trainbox:train", "docker.io/me/trainbox", "12.dkr.ecr.eu-west-1.amazonaws.com/a", f"a@{DIGEST}"]
)
def test_no_images(address: str) -> None:
    assert not IMAGE.fullmatch(address)
