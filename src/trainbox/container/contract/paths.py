"""Where everything of the contract lies: one tree below ``SAGEMAKER_BASE_DIR``, ``/opt/ml`` where that is not set."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trainbox.errors import UsageError

DEFAULT_BASE = Path("/opt/ml")
BASE_VARIABLE = "SAGEMAKER_BASE_DIR"


@dataclass(frozen=True)
class Paths:
    """The files and folders of one training run. Having the paths does not mean that they exist."""

    base: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Paths":
        """Return the tree that ``SAGEMAKER_BASE_DIR`` names."""
        return cls(Path(environment.get(BASE_VARIABLE) or DEFAULT_BASE).absolute())

    @property
    def config(self) -> Path:
        """The folder of the four configuration files."""
        return self.base / "input" / "config"

    @property
    def hyperparameters(self) -> Path:
        """Hyperparameters, string to string."""
        return self.config / "hyperparameters.json"

    @property
    def channels(self) -> Path:
        """The channels of the job and how each is delivered."""
        return self.config / "inputdataconfig.json"

    @property
    def resources(self) -> Path:
        """The machines of the job."""
        return self.config / "resourceconfig.json"

    @property
    def checkpointing(self) -> Path:
        """Where checkpoints go; exists only where the job asked for them."""
        return self.config / "checkpointconfig.json"

    @property
    def data(self) -> Path:
        """The folder that holds one folder per channel."""
        return self.base / "input" / "data"

    @property
    def model(self) -> Path:
        """The folder that becomes ``model.tar.gz``."""
        return self.base / "model"

    @property
    def output(self) -> Path:
        """The folder that becomes ``output.tar.gz``: logs for TensorBoard."""
        return self.base / "output" / "data"

    @property
    def failure(self) -> Path:
        """The file whose first 1,024 characters become the job's failure reason."""
        return self.base / "output" / "failure"

    @property
    def checkpoints(self) -> Path:
        """The folder that SageMaker restores at the start and copies away continuously."""
        return self.base / "checkpoints"


def refuse_unwritable(folder: Path, named: Path, advice: str) -> None:
    """Make ``folder`` and try to write there; raise UsageError, naming ``named``, before hours are spent in vain."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as problem:
        raise UsageError(f"{named} cannot be written: {problem.strerror}. {advice}") from problem
