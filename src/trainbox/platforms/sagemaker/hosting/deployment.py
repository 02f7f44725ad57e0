"""One deployment under way: what is wanted, what stood before it, and how many machines there are to be."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.hosting import endpoints, scaling
from trainbox.platforms.sagemaker.hosting.endpoints import Endpoint
from trainbox.platforms.sagemaker.hosting.request import MADE_BY, SCALED, VARIANT, Hosting, Instances, as_tags

Say = Callable[[str], None]


@dataclass(frozen=True)
class Deployment:
    """One deployment. ``before`` is the endpoint as it stood, ``scaled`` the bounds it scaled within.

    ``mark`` is on all that this command makes, and on nothing else.
    """

    account: Account
    hosting: Hosting
    before: Endpoint | None
    scaled: scaling.Bounds | None
    outcome: str
    say: Say
    mark: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def name(self) -> str:
        """The endpoint's name."""
        return self.hosting.name

    @property
    def wanted(self) -> str:
        """The configuration that the endpoint is to have."""
        return str(self.hosting.configuration["EndpointConfigName"])

    @property
    def old(self) -> str:
        """The configuration that the endpoint had."""
        return self.before.configuration if self.before else ""

    @property
    def machines(self) -> Instances | None:
        """The machines that are asked for, None for serverless hosting."""
        return self.hosting.on if isinstance(self.hosting.on, Instances) else None

    @property
    def bounds(self) -> scaling.Bounds | None:
        """The bounds to scale within in the end: where nothing is said of them, those that there were."""
        if not self.machines or self.machines.fixed:
            return None
        return self.machines.autoscale or self.scaled

    @property
    def update(self) -> dict[str, Any]:
        """The request of UpdateEndpoint: as many machines as it has come to, unless a number is given."""
        kept = self.before and self.before.instances and self.machines and not self.machines.fixed
        return {**self.hosting.update, **({"RetainAllVariantProperties": True} if kept else {})}

    def marked(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a request with the mark of this command among its tags."""
        return {**request, "Tags": [*request["Tags"], *as_tags({MADE_BY: self.mark})]}

    def changes_machines(self) -> bool:
        """Tell whether the update brings machines of another type, or none: what scales cannot; raise AwsFailed."""
        about = endpoints.configuration(self.account, self.old)
        had = {one["VariantName"]: one.get("InstanceType") for one in about.get("ProductionVariants", ())}
        return not self.machines or had.get(VARIANT) != self.machines.instance_type

    def note_scaling(self) -> dict[str, str]:
        """Return the tag that notes the bounds to be set again, nothing where there are none."""
        return {SCALED: f"{self.bounds[0]}:{self.bounds[1]}"} if self.bounds else {}
