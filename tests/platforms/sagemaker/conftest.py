"""What the tests of training at SageMaker share: a plan."""

from collections.abc import Callable
from typing import Any

import pytest

from amazon.aws import Aws
from trainbox.platforms.sagemaker.plan import Plan


@pytest.fixture
def plan(aws: Aws) -> Callable[..., Plan]:
    """Return a maker of plans in the account of the test: ``plan(spot=True)``."""

    def make(**further: Any) -> Plan:
        basis = {"region": aws.region, "role": aws.role, "image": aws.image, "bucket": aws.bucket}
        return Plan(**{**basis, "instance_type": "ml.m5.xlarge", "max_runtime_seconds": 600, **further})

    return make
