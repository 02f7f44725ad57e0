"""What training a pilot asks of a machine; measured in benchmarks/RESULTS.md, on two processors with AVX2."""

from trainbox.tasks import Workload
from trainbox.tasks.drive.config import DriveConfig

EPOCHS = (8, 25)
"""Until early stop: 9 and 13 on a tub of 5,854 records. A few hundred records take more."""
IMAGES_PER_SECOND = (60.0, 240.0)
"""One processor trained 121 a second, validation included; another may be quicker, or be half a core."""
SECONDS_AROUND = (30.0, 90.0)
"""Reading, starting, writing, proving and scoring took 42 s."""


def workload(config: DriveConfig, examples: int) -> Workload:
    """Estimate what training on so many records will ask of a machine."""
    trained = max(examples * (1 - config.validation_fraction), 1.0)
    a_round = config.steps_per_epoch * config.batch_size if config.steps_per_epoch else trained
    fewest, most = (min(epochs, config.epochs) * a_round for epochs in (config.patience + EPOCHS[0] - 5, EPOCHS[1]))
    return Workload((fewest, max(fewest, most)), IMAGES_PER_SECOND, SECONDS_AROUND)
