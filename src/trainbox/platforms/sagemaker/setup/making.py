"""What making a bucket and making a role have in common: it is finished or taken back, and what was there stays."""

from collections.abc import Callable, Iterable

from trainbox.platforms.sagemaker.aws.failures import AwsFailed, said_by_aws

Say = Callable[[str], None]


def left_as_it_is(what: str, differences: Iterable[str], say: Say) -> tuple[str, ...]:
    """Say in what something that is there already is unlike what would be made, and return that."""
    found = tuple(differences)
    for difference in found:
        say(f"{what[0].upper()}{what[1:]} is there and left as it is, but {difference}.")
    return found


def finish(what: str, steps: Callable[[], None], remove: Callable[[], object], say: Say) -> None:
    """Take the steps that are left after something was made; where one fails it is taken back. Raises AwsFailed."""
    try:
        steps()
    except AwsFailed as problem:
        raise _taken_back(what, remove, problem) from problem
    except BaseException as problem:
        say(str(_taken_back(what, remove, problem)))
        raise


def _taken_back(what: str, remove: Callable[[], object], problem: BaseException) -> AwsFailed:
    """Remove what is unfinished, and so unused; return what to say of it."""
    why = str(problem) or "Interrupted."
    code = problem.code if isinstance(problem, AwsFailed) else ""
    try:
        with said_by_aws(f"remove the {what} again"):
            remove()
    except AwsFailed as second:
        return AwsFailed(f"{why} The {what} was made and stands unfinished. {second} Remove it yourself.", code)
    return AwsFailed(f"{why} The {what} was made and removed again.", code)
