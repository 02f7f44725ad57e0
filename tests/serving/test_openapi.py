"""schemathesis asks whatever our OpenAPI document allows, and what it does not: never a 5xx, never an answer unsaid."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.server import Server, serving
from trainbox.tasks import available

pytestmark = pytest.mark.slow
schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: see requirements/dev.txt")

EXAMPLES = 60


@pytest.fixture(scope="module", params=[*available(), "multi-model"])
def documented(
    request: pytest.FixtureRequest, model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Any]]:
    """A server and its document: of every task, and of an endpoint of several models."""
    base = tmp_path_factory.mktemp("documented") / "ml"
    several = request.param == "multi-model"
    folder = None if several else model(request.param)
    settings = {"SAGEMAKER_MULTI_MODEL": "true"} if several else {}
    with serving(base, folder, MODEL_SERVER_WORKERS="2", **settings) as server:
        yield server, schemathesis.openapi.from_url(f"http://127.0.0.1:{server.port}/openapi.json")


def test_nothing_that_is_asked_breaks_it(documented: tuple[Server, Any]) -> None:
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis import GenerationMode, checks

    server, document = documented
    held = [
        checks.not_a_server_error,
        *checks.CHECKS.get_by_names(
            ["status_code_conformance", "content_type_conformance", "response_schema_conformance"]
        ),
    ]
    asked: list[int] = []
    for operation in (result.ok() for result in document.get_all_operations()):
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Any) -> None:
                response = case.call_and_validate(checks=held)
                asked.append(response.status_code)

            try:
                ask()
            except Exception as error:
                if type(error).__name__ in ("Unsatisfiable", "SkipTest"):  # an operation without anything to get wrong
                    continue
                raise
    assert len(asked) > EXAMPLES
    assert 200 in asked
    assert server.process.poll() is None
    assert server.get("/ping").status == 200
