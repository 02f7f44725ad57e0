"""A job's log at CloudWatch: each line once, whatever happens on the way."""

import time
from collections.abc import Sequence

import pytest

from amazon.aws import Aws
from trainbox.platforms.sagemaker.aws.failures import AwsRefused
from trainbox.platforms.sagemaker.aws.logs import GROUP, Log

MOMENT = int(time.time() * 1000) - 60_000


def put_log(aws: Aws, stream: str, lines: Sequence[tuple[int, str]]) -> None:
    logs = aws.client("logs")
    names = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
    if GROUP not in names:
        logs.create_log_group(logGroupName=GROUP)
    known = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=stream)["logStreams"]
    if not known:
        logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
    events = [{"timestamp": MOMENT + at, "message": text} for at, text in lines]
    logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)


def test_the_log_is_read_once_from_all_machines_in_order(aws: Aws) -> None:
    log = Log(aws.account(), "job")
    assert log.new() == [], "there is no group before the account's first job"
    put_log(aws, "job/algo-1-17", [(0, "a"), (20, "c\tc\x1b[2J")])
    put_log(aws, "job/algo-2-17", [(10, "b")])
    put_log(aws, "job-2/algo-1-17", [(5, "of another job")])
    assert [(line.host, line.text) for line in log.new()] == [
        ("algo-1", "a"),
        ("algo-2", "b"),
        ("algo-1", r"c c\x1b[2J"),
    ]
    assert log.new() == []
    put_log(aws, "job/algo-2-17", [(30, "d")])
    put_log(aws, "job/algo-1-18", [(40, "e")])
    assert [line.text for line in log.new()] == ["d", "e"], "a machine that came back has a stream of its own"
    assert (log.hosts, log.count, list(log.last)[-1]) == (2, 5, "e")


@pytest.mark.slow
def test_a_long_log_comes_in_many_pages(aws: Aws) -> None:
    lines = [(at, f"line {at} {'x' * 200}") for at in range(8000)]
    for start in range(0, 8000, 4000):
        put_log(aws, "job/algo-1-1", lines[start : start + 4000])
    log = Log(aws.account(), "job")
    assert [line.text for line in log.new()] == [text for _, text in lines]
    assert len(aws.asked("GetLogEvents")) == 1 + 8000 // 10_000 + 1


def test_what_was_read_before_a_fault_is_not_lost(aws: Aws) -> None:
    put_log(aws, "job/algo-1-1", [(0, "a")])
    put_log(aws, "job/algo-2-1", [(1, "b")])
    log = Log(aws.account(), "job")
    # The first machine's page and the one that says that there is no more; then not the second machine's.
    aws.faults.fail("GetLogEvents", "AccessDeniedException", after=2)
    with pytest.raises(AwsRefused):
        log.new()
    assert [line.text for line in log.new()] == ["a", "b"]


def test_a_token_that_is_a_day_old_loses_no_line_and_says_none_twice(aws: Aws) -> None:
    put_log(aws, "job/algo-1-1", [(0, "a"), (10, "b"), (10, "b"), (10, "c")])
    log = Log(aws.account(), "job")
    assert [line.text for line in log.new()] == ["a", "b", "b", "c"]
    for more in ([(10, "b"), (10, "d"), (20, "e")], [(30, "f")]):
        put_log(aws, "job/algo-1-1", more)
        aws.faults.fail("GetLogEvents", "InvalidParameterException", message="The specified nextToken is invalid.")
        assert [line.text for line in log.new()] == [text for _, text in more]
        assert log.new() == []
    assert not aws.faults.left
    put_log(aws, "job/algo-1-1", [(30, "f")])
    assert [line.text for line in log.new()] == ["f"], "and it goes on with tokens"
