"""Models and endpoint configurations: documents that endpoints and transform jobs are made from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from amazon.account import House
from amazon.protocol import page
from amazon.refusals import invalid
from amazon.training import now, selected

MEGABYTES = range(1024, 6145, 1024)


@dataclass(frozen=True)
class Document:
    """What was asked for under a name."""

    name: str
    arn: str
    request: dict[str, Any]
    status: str = ""
    created: datetime = field(default_factory=now)


class Shelf:
    """Documents of one kind by name: each is made once, described, listed and deleted."""

    def __init__(self, house: House, kind: str, noun: str) -> None:
        self._house, self._kind, self._noun = house, kind, noun
        self.documents: dict[str, Document] = {}

    def put(self, name: str, asked: dict[str, Any]) -> Document:
        """Keep a request; raise Refusal where the name is taken."""
        arn = self._house.arn(self._kind, name)
        with self._house.lock:
            if name in self.documents:
                raise invalid(f'Cannot create already existing {self._noun} "{arn}".')
            request = {key: value for key, value in asked.items() if key != "Tags"}
            self.documents[name] = Document(name, arn, request)
        self._house.tag(arn, asked.get("Tags"))
        return self.documents[name]

    def get(self, name: str) -> Document:
        """Return a document; raise Refusal where there is none of that name."""
        if name not in self.documents:
            raise invalid(f'Could not find {self._noun} "{self._house.arn(self._kind, name)}".')
        return self.documents[name]

    def remove(self, name: str) -> None:
        """Forget a document and its tags."""
        self._house.tags.pop(self.get(name).arn, None)
        del self.documents[name]

    def listed(
        self, asked: dict[str, Any], word: Callable[[Document], dict[str, Any]]
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page of them, each in the words of a list, and the next page's token."""
        found, token = page(selected(list(self.documents.values()), asked), asked)
        return [{**word(one), "CreationTime": one.created} for one in found], token


class Models:
    """The operations on models and endpoint configurations."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.models = Shelf(house, "model", "model")
        self.configurations = Shelf(house, "endpoint-config", "endpoint configuration")

    def create_model(self, asked: dict[str, Any]) -> dict[str, Any]:
        inside = asked.get("PrimaryContainer")
        if not inside or not inside.get("Image"):
            raise invalid("The fake hosts a PrimaryContainer with an Image, and nothing else.")
        if not asked.get("ExecutionRoleArn"):
            raise invalid("ExecutionRoleArn is required.")
        self._house.refuse_role(asked["ExecutionRoleArn"])
        self._house.refuse_image(inside["Image"])
        address = inside.get("ModelDataUrl")
        if address and not self._house.storage.has(address):
            raise invalid(f"Could not find model data at {address}.")
        return {"ModelArn": self.models.put(asked["ModelName"], asked).arn}

    def describe_model(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = self.models.get(asked["ModelName"])
        return {**found.request, "ModelArn": found.arn, "CreationTime": found.created}

    def delete_model(self, asked: dict[str, Any]) -> None:
        self.models.remove(asked["ModelName"])

    def list_models(self, asked: dict[str, Any]) -> dict[str, Any]:
        found, token = self.models.listed(asked, lambda one: {"ModelName": one.name, "ModelArn": one.arn})
        return {"Models": found, "NextToken": token}

    def create_endpoint_config(self, asked: dict[str, Any]) -> dict[str, Any]:
        for variant in asked["ProductionVariants"]:
            self._refuse_variant(variant)
        return {"EndpointConfigArn": self.configurations.put(asked["EndpointConfigName"], asked).arn}

    def _refuse_variant(self, variant: dict[str, Any]) -> None:
        self.models.get(variant.get("ModelName", ""))
        serverless = variant.get("ServerlessConfig")
        if bool(serverless) == bool(variant.get("InstanceType")):
            raise invalid("A production variant has either a ServerlessConfig or an InstanceType.")
        if serverless and serverless["MemorySizeInMB"] not in MEGABYTES:
            raise invalid(f"MemorySizeInMB must be one of {list(MEGABYTES)}.")
        if not serverless and not variant.get("InitialInstanceCount"):
            raise invalid("InitialInstanceCount is required with an InstanceType.")

    def describe_endpoint_config(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = self.configurations.get(asked["EndpointConfigName"])
        return {**found.request, "EndpointConfigArn": found.arn, "CreationTime": found.created}

    def delete_endpoint_config(self, asked: dict[str, Any]) -> None:
        self.configurations.remove(asked["EndpointConfigName"])

    def list_endpoint_configs(self, asked: dict[str, Any]) -> dict[str, Any]:
        found, token = self.configurations.listed(
            asked, lambda one: {"EndpointConfigName": one.name, "EndpointConfigArn": one.arn}
        )
        return {"EndpointConfigs": found, "NextToken": token}
