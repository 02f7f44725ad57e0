"""Every error that Trainbox raises on purpose: one tree, imported by all, importing nothing.

A message says what failed, what was received and what to do, in one line. Only the command line and the
container's edge turn an error into text and an exit status.
"""


class TrainboxError(Exception):
    """Something failed. The message is one line that a user can act on."""

    exit_status = 1


class RefusedInput(TrainboxError):
    """What the user gave cannot be used; nothing was spent on it."""

    exit_status = 2


class HyperparameterError(RefusedInput):
    """A hyperparameter is unknown, malformed or out of bounds."""


class ChannelError(RefusedInput):
    """A channel is missing, empty or of a kind that cannot be read."""


class DataError(RefusedInput):
    """A data set holds nothing usable, or breaks a rule that cannot be skipped over."""


class ArchiveError(DataError):
    """An archive is unsafe or broken as a whole."""


class ModelFileError(RefusedInput):
    """A model file or bundle is foreign, damaged or does not fit."""


class UsageError(RefusedInput):
    """A command, platform or task was asked for that does not exist, or lacks an optional package."""


class ExportError(TrainboxError):
    """A model file could not be written."""


class ProofError(ExportError):
    """An exported file does not load in its runtime, or answers differently from the Keras model."""


class CheckpointError(TrainboxError):
    """A checkpoint could not be written, or belongs to another job."""


class TrainingFailed(TrainboxError):
    """Training cannot go on: the loss is not finite, or the process was told to stop too early."""
