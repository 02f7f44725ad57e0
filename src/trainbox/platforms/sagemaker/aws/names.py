"""Names in AWS that several rooms write or read: our tag, roles and images."""

import re

OUR_TAG = "trainbox"
"""The tag on everything that Trainbox makes in an account; one that a user gives under this name is refused."""
ROLE = re.compile(
    r"arn:aws[a-z-]*:iam::(?P<account>\d{12}):role/(?P<path>[\w+=,.@/-]*/)?(?P<name>[\w+=,.@-]{1,64})", re.ASCII
)
"""A role's ARN, of the letters that SageMaker takes."""
IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr(-fips)?\.(?P<region>[a-z0-9-]+)\.[^/:@]+/"
    r"(?P<repository>[^:@]+)(:(?P<tag>[\w.-]+))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
"""An image's address in ECR. Each part of AWS has an ending of its own."""
