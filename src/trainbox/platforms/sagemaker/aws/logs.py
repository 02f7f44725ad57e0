"""A training job's log at CloudWatch: each line once, from every machine, as it comes."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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


@dataclass
class _Place:
    """How far a stream was read: ``token`` is of what comes next, counted from the time ``since``.

    CloudWatch forgets tokens after a day; ``last`` is the time of the last line read, ``texts`` all lines read of it.
    """

    token: str | None = None
    since: int = 0
    last: int = 0
    texts: list[str] = field(default_factory=list)

    @property
    def wanted(self) -> dict[str, Any]:
        """What asks for the lines from here on."""
        return {"startTime": self.since} | ({"nextToken": self.token} if self.token else {})

    def new(self, events: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
        """Yield time and text of the events that were not read before, and remember how far that is."""
        known = [] if self.token else list(self.texts)
        for moment, text in ((event["timestamp"], event["message"]) for event in events):
            if moment == self.since and text in known:
                known.remove(text)
                continue
            if moment > self.last:
                self.last, self.texts = moment, []
            if moment == self.last:
                self.texts.append(text)
            yield moment, text


class Log:
    """All streams of one job: a machine has one, and another after a spot interruption."""

    def __init__(self, account: Account, job: str) -> None:
        self._client = account.client("logs")
        self._job = job
        self._places: dict[str, _Place] = {}
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
                self._places.setdefault(stream, _Place())
        with said_by_aws(f"read the log of the training job '{self._job}'"):
            for stream, place in self._places.items():
                self._read(stream, place)
        lines = sorted(self._unsaid, key=lambda line: line.milliseconds)
        self._unsaid.clear()
        self.last.extend(line.text for line in lines)
        self.count += len(lines)
        return lines

    @property
    def hosts(self) -> int:
        """The number of machines that have said anything."""
        return len({_host(stream) for stream in self._places})

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

    def _read(self, stream: str, place: _Place) -> None:
        """Read a stream to its present end, which is where a page brings the token that it was asked with."""
        host = _host(stream)
        while True:
            page = self._page(stream, place)
            self._unsaid += [Line(host, moment, _plain(text)) for moment, text in place.new(page["events"])]
            token, place.token = place.token, page["nextForwardToken"]
            if place.token == token:
                return

    def _page(self, stream: str, place: _Place) -> Mapping[str, Any]:
        from botocore.exceptions import ClientError

        try:
            page: Mapping[str, Any] = self._client.get_log_events(
                logGroupName=GROUP, logStreamName=stream, startFromHead=True, **place.wanted
            )
        except ClientError as problem:
            if not place.token or problem.response.get("Error", {}).get("Code") != "InvalidParameterException":
                raise
            place.token, place.since = None, place.last
            return self._page(stream, place)
        return page


def _host(stream: str) -> str:
    """Return the machine of a stream JOB/algo-1-1712345678."""
    return stream.rpartition("/")[2].rpartition("-")[0]


def _plain(message: str) -> str:
    """Return a line without what would move a terminal's cursor."""
    return printable(message.rstrip().replace("\t", " "))
