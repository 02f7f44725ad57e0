"""The machines of a job, as resourceconfig.json names them."""

from dataclasses import dataclass

from trainbox.container.contract import documents
from trainbox.container.contract.paths import Paths
from trainbox.errors import UsageError

ALONE = "algo-1"


@dataclass(frozen=True)
class Cluster:
    """The machines that one job runs on: all names sorted, and which of them this is."""

    current_host: str = ALONE
    hosts: tuple[str, ...] = (ALONE,)


def read(paths: Paths) -> Cluster:
    """Return the machines of the job, this one alone where nothing is said; raise UsageError where it is malformed.

    Further keys, documented or not, are ignored.
    """
    described = documents.read_object(paths.resources, UsageError)
    if not described or "hosts" not in described:
        return Cluster()
    hosts = described["hosts"]
    if not isinstance(hosts, list) or not hosts or not all(isinstance(host, str) and host for host in hosts):
        raise UsageError(f"{paths.resources.name}: 'hosts' must be a list of names. Received: {hosts!r}.")
    current = described.get("current_host", hosts[0])
    if not isinstance(current, str) or current not in hosts:
        raise UsageError(f"{paths.resources.name}: current_host {current!r} is not among hosts {', '.join(hosts)}.")
    return Cluster(current, tuple(sorted(hosts)))


def refuse_several(cluster: Cluster) -> None:
    """Raise UsageError where the job has more than one machine: every machine then says so and stops."""
    if len(cluster.hosts) > 1:
        raise UsageError(
            f"This version trains on one machine. Received {len(cluster.hosts)} hosts: {', '.join(cluster.hosts)}. "
            "Set the instance count to 1."
        )
