"""Which way imports point, and what must load without a training framework."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import trainbox

SOURCE = Path(trainbox.__file__).parent

# A layer may import itself and what stands to its right; names in one group are strangers to each other.
LAYERS = [
    {"cli"},
    {"platforms"},
    {"container"},
    {"serving"},
    {"tasks"},
    {"training", "data", "export", "report"},
    {"errors"},
]
DEPTH = {name: depth for depth, layer in enumerate(LAYERS) for name in layer}
# The same within the platform SageMaker.
SAGEMAKER = [{"running", "hosting"}, {"asking"}, {"setup", "storage"}, {"aws"}]
# Words for what was skipped are shared by all: the type holds no logic of reading data.
EVERYONE_MAY_IMPORT = {"trainbox.data.problems"}
FRAMEWORKS = ("tensorflow", "keras", "jax", "boto3", "h5py", "matplotlib")


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def imported(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names.append(node.module)
    return names


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_right(path: Path) -> None:
    here = room(".".join(("trainbox", *path.relative_to(SOURCE).with_suffix("").parts)))
    for name in imported(path):
        if not name.startswith("trainbox.") or here not in DEPTH or name in EVERYONE_MAY_IMPORT:
            continue
        there = room(name)
        if there == here:
            continue
        assert DEPTH[there] > DEPTH[here], f"{here} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_export_imports_tensorflow(path: Path) -> None:
    if path.is_relative_to(SOURCE / "export"):
        return
    assert not [name for name in imported(path) if name.split(".")[0] == "tensorflow"]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_the_platform_sagemaker_talks_to_aws(path: Path) -> None:
    if path.is_relative_to(SOURCE / "platforms/sagemaker"):
        return
    assert not [name for name in imported(path) if name.split(".")[0] in {"boto3", "botocore"}]


@pytest.mark.parametrize("path", sorted((SOURCE / "platforms/sagemaker").glob("*/*.py")), ids=lambda path: path.stem)
def test_imports_point_right_within_sagemaker(path: Path) -> None:
    depth = {name: depth for depth, layer in enumerate(SAGEMAKER) for name in layer}
    here, prefix = path.parent.name, "trainbox.platforms.sagemaker."
    for name in imported(path):
        there = name.removeprefix(prefix).split(".")[0] if name.startswith(prefix) else here
        assert there == here or depth[there] > depth[here], f"{here} imports {name}"


def test_tasks_are_strangers_to_each_other() -> None:
    tasks = [folder for folder in (SOURCE / "tasks").iterdir() if (folder / "__init__.py").exists()]
    for folder in tasks:
        for path in folder.rglob("*.py"):
            for other in tasks:
                if other != folder:
                    assert not [name for name in imported(path) if name.startswith(f"trainbox.tasks.{other.name}")]


def test_shared_code_names_no_task() -> None:
    from trainbox.tasks import available

    for path in modules():
        if path.is_relative_to(SOURCE / "tasks") and path.parent != SOURCE / "tasks":
            continue
        for name in imported(path):
            assert not any(name.startswith(f"trainbox.tasks.{task}") for task in available()), f"{path} imports {name}"


@pytest.mark.parametrize(
    "module",
    [
        "trainbox.cli",
        "trainbox.tasks.drive",
        "trainbox.tasks.drive.config",
        "trainbox.container.contract",
        "trainbox.serving.worker",
        "trainbox.tasks.detect.served",
        "trainbox.tasks.drive.served",
    ],
)
def test_loads_without_frameworks(module: str) -> None:
    code = f"import sys, {module}; print(sorted(set(sys.modules) & set({FRAMEWORKS!r})))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


LIGHT = {
    "what talks to clients": ("trainbox.serving.server, trainbox.serving.app", {"numpy", "PIL", "pydantic", "yaml"}),
    "what answers": (
        "trainbox.serving.worker, trainbox.tasks.detect.served, trainbox.tasks.drive.served",
        {"starlette", "uvicorn", "pydantic", "yaml", "asyncio", "google", "importlib.metadata", "hashlib"},
    ),
}


@pytest.mark.parametrize("which", LIGHT)
def test_serving_loads_little(which: str) -> None:
    modules, heavy = LIGHT[which]
    code = f"import sys, {modules}; print(sorted(set(sys.modules) & {heavy!r}))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
