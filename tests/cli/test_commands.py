"""The command line as a whole: help, errors, exit statuses, and how quickly it starts."""

import resource
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from trainbox import cli

DOCUMENTATION = Path(__file__).parents[2] / "docs/cli.md"
WITHIN = ["image build", "image push", "image test"]


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.run([*command.split(), "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", [*cli.COMMANDS, *WITHIN])
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = help_of(command, capsys)
    assert f"Example: trainbox {command} " in said


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_the_list_of_commands_says_what_the_commands_say(command: str) -> None:
    function = getattr(import_module(f"trainbox.cli.{command}"), command)
    assert function.__doc__.strip().splitlines()[0] == cli.COMMANDS[command]


def test_no_command_within_a_command_is_forgotten() -> None:
    groups = {
        name: module for name in cli.COMMANDS if hasattr(module := import_module(f"trainbox.cli.{name}"), "group")
    }
    found = [
        f"{name} {command.name or command.callback.__name__}"
        for name, module in groups.items()
        for command in module.group.registered_commands
    ]
    assert found == WITHIN


@pytest.mark.parametrize("command", [*cli.COMMANDS, *WITHIN])
def test_every_command_and_option_is_documented(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = DOCUMENTATION.read_text()
    assert f"## trainbox {command}\n" in page
    section = page.split(f"## trainbox {command}\n")[1].split("\n## ")[0]
    options = {word.strip(",") for word in help_of(command, capsys).split() if word.startswith("--")} - {"--help"}
    assert not {option for option in options if f"`{option}" not in section}


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"]):
        assert cli.run(arguments) == 0
        said = capsys.readouterr().out
        assert all(f"  {command} " in said for command in cli.COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.strip().count(".") == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fly"], "No such command 'fly'"),
        (["--nonsense"], "--nonsense"),
        (["train"], "Missing argument 'TASK'"),
        (["train", "drive"], "Missing argument"),
        (["train", "drive", "x", "--epochs", "3"], "--epochs"),
        (["evaluate", "nowhere", "x"], "Bundle nowhere does not exist"),
        (["check", "nowhere"], "nowhere"),
        (["image", "fly"], "No such command 'fly'"),
        (["image", "build", "--target", "fly"], "Unknown target 'fly'. Available: serve, base, train, train-gpu."),
        (["image", "build", "--source", "."], "is no checkout of Trainbox"),
        (["demo", "fly", "x"], "Unknown task 'fly'. Available: "),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(arguments) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.err.count("\n") == 1
    assert not said.out


def test_it_starts_in_less_than_300_milliseconds() -> None:
    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "trainbox", "--help"], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Processor time: what else the machine does is not the command's doing.
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(5)) < 0.3


def test_help_loads_no_framework_and_no_command() -> None:
    heavy = {"tensorflow", "keras", "jax", "numpy", "pydantic", "PIL", "trainbox.cli.train"}
    code = f"import sys; from trainbox import cli; cli.run(['--help']); print(sorted({heavy!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"


def test_names_that_are_not_utf8_do_not_end_the_command(tmp_path: Path) -> None:
    name = str(tmp_path).encode() + b"/\xff"
    answer = subprocess.run([sys.executable, "-m", "trainbox", "check", name], capture_output=True, check=False)
    assert answer.returncode == 2
    assert rb"\xff" in answer.stderr or rb"\udcff" in answer.stderr
