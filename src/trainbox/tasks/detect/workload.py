"""What training a detector asks of a machine; measured in benchmarks/RESULTS.md, on two processors with AVX2."""

from trainbox.tasks import Workload
from trainbox.tasks.detect.config import DetectConfig

BATCH = 16
ROUNDS = (35, 60)
"""Validations until early stop, by the default patience: 40 and 36 on the 364 pictures of BCCD."""
LEAST_IN_A_ROUND = 160
SIZE = 300
IMAGES_PER_SECOND = (5.0, 15.0)
"""One processor trained 8.9 to 10.2 a second at 300 px; another's vectors may be longer, or it is half a core."""
SECONDS_AROUND = (60.0, 240.0)
"""Reading, starting, writing, proving and scoring; validations are counted as pictures."""


def workload(config: DetectConfig, examples: int) -> Workload:
    """Estimate what training on so many pictures will ask of a machine."""
    batch = config.batch_size or BATCH
    if config.num_steps is not None:
        images = (float(config.num_steps * batch),) * 2
    else:
        trained = max(examples * (1 - config.validation_fraction), LEAST_IN_A_ROUND)
        a_round = config.steps_per_epoch * batch if config.steps_per_epoch else trained
        fewest = min(ROUNDS[0] - 30 + config.patience, config.epochs)
        images = (fewest * a_round, max(fewest, min(ROUNDS[1], config.epochs)) * a_round)
    slower = ((config.image_size or SIZE) / SIZE) ** 2
    return Workload(images, (IMAGES_PER_SECOND[0] / slower, IMAGES_PER_SECOND[1] / slower), SECONDS_AROUND)
