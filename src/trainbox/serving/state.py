"""What the server knows: its settings, its models, whether it may be asked."""

from dataclasses import dataclass, field

from trainbox.serving.bodies import Room
from trainbox.serving.interpreters import Interpreters
from trainbox.serving.metrics import Metrics
from trainbox.serving.models import ONLY, Model
from trainbox.serving.settings import Settings

LEAST_ROOM = 256 << 20


@dataclass
class State:
    """One server. ``stopping``: told to end, so not ready any more, whatever it still answers."""

    settings: Settings
    metrics: Metrics
    pool: Interpreters
    models: dict[str, Model] = field(default_factory=dict)
    loaded: bool = False
    stopping: bool = False
    room: Room = field(init=False)

    def __post_init__(self) -> None:
        self.room = Room(max(LEAST_ROOM, 2 * self.settings.largest_body))

    @property
    def ready(self) -> bool:
        """Whether a question would be answered."""
        return self.loaded and not self.stopping and self.pool.alive > 0

    @property
    def model(self) -> Model | None:
        """The one model, None where there are several or none yet."""
        return self.models.get(ONLY) if self.loaded else None
