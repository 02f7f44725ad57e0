from pathlib import Path

from trainbox.container.contract.paths import Paths


def test_default_and_override(tmp_path: Path) -> None:
    assert Paths.from_environment({}).base == Path("/opt/ml")
    assert Paths.from_environment({"SAGEMAKER_BASE_DIR": ""}).base == Path("/opt/ml")
    assert Paths.from_environment({"SAGEMAKER_BASE_DIR": str(tmp_path)}).base == tmp_path
    assert Paths.from_environment({"SAGEMAKER_BASE_DIR": "here"}).base.is_absolute()


def test_everything_lies_where_sagemaker_puts_it() -> None:
    paths = Paths(Path("/opt/ml"))
    assert [str(path) for path in (paths.hyperparameters, paths.channels, paths.resources, paths.checkpointing)] == [
        f"/opt/ml/input/config/{name}.json"
        for name in ("hyperparameters", "inputdataconfig", "resourceconfig", "checkpointconfig")
    ]
    assert [str(path) for path in (paths.data, paths.model, paths.output, paths.failure, paths.checkpoints)] == [
        f"/opt/ml/{name}" for name in ("input/data", "model", "output/data", "output/failure", "checkpoints")
    ]
