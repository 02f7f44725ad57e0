"""A training job's log at CloudWatch: each line once, from every machine, as it comes."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainbox.data.text import printable
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import said_by_aws

GROUP = "/aws/sagemaker/TrainingJobs"
LINES_REMEMBERED = 20


@dataclass(frozen=True)
class Line:
    """A line of the log: which machine said it ("algo-1"), when (milliseconds since 1970), and what."""

    host: str
    milliseconds: int
    text: str


class Log:
    """All streams of one job: a machine has one, and another after a spot interruption."""

    def __init__(self, account: Account, job: str) -> None:
        self._client = account.client("logs")
        self._job = job
        self._tokens: dict[str, str | None] = {}
        self._unsaid: list[Line] = []
        self.last: deque[str] = deque(maxlen=LINES_REMEMBERED)
        """The last lines that were read."""
        self.count = 0
        """How many lines were read."""

    def new(self) -> Sequence[Line]:
        """Return the lines that came since the last call, in the order of their times; none where there is no log yet.

        Raises AwsFailed; what was read before that is not lost, and comes with the next call.
        """
        with said_by_aws(f"find the log of the training job '{self._job}'"):
            for stream in self._streams():
                self._tokens.setdefault(stream, None)
        with said_by_aws(f"read the log of the training job '{self._job}'"):
            for stream in self._tokens:
                self._read(stream)
        lines = sorted(self._unsaid, key=lambda line: line.milliseconds)
        self._unsaid.clear()
        self.last.extend(line.text for line in lines)
        self.count += len(lines)
        return lines

    @property
    def hosts(self) -> int:
        """The number of machines that have said anything."""
        return len({_host(stream) for stream in self._tokens})

    def _streams(self) -> Iterator[str]:
        from botocore.exceptions import ClientError

        try:
            pages = self._client.get_paginator("describe_log_streams").paginate(
                logGroupName=GROUP, logStreamNamePrefix=f"{self._job}/"
            )
            for page in pages:
                yield from (stream["logStreamName"] for stream in page["logStreams"])
        except ClientError as problem:
            # The account's first training job: its first line makes the group.
            if problem.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
                raise

    def _read(self, stream: str) -> None:
        """Read a stream to its present end, which is where a page brings the token that it was asked with."""
        while True:
            token = self._tokens[stream]
            after = {"nextToken": token} if token else {}
            page = self._client.get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True, **after)
            host = _host(stream)
            self._unsaid += [Line(host, event["timestamp"], _plain(event["message"])) for event in page["events"]]
            self._tokens[stream] = page["nextForwardToken"]
            if page["nextForwardToken"] == token:
                return


def _host(stream: str) -> str:
    """Return the machine of a stream JOB/algo-1-1712345678."""
    return stream.rpartition("/")[2].rpartition("-")[0]


def _plain(message: str) -> str:
    """Return a line without what would move a terminal's cursor."""
    return printable(message.rstrip().replace("\t", " "))
