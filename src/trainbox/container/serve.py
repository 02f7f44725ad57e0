"""``trainbox-container serve``: the model in the model folder, under Amazon SageMaker or on machines of your own."""

from collections.abc import Mapping

from trainbox.container.contract.paths import Paths
from trainbox.container.interruption import Stop
from trainbox.container.packages import require_serving


def serve(paths: Paths, environment: Mapping[str, str], stop: Stop) -> None:
    """Serve until told to stop; raise UsageError or ModelFileError where there is nothing to serve."""
    require_serving()
    from trainbox.serving.server import run
    from trainbox.serving.settings import Settings

    settings = Settings.from_environment(environment)
    run(None if settings.multi_model else paths.model, settings, told=lambda: stop.requested)
