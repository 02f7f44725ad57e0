from typing import Any

import pytest

from trainbox.container.contract import cluster
from trainbox.container.contract.cluster import Cluster
from trainbox.errors import UsageError


def test_without_the_file_this_machine_is_alone(tree) -> None:
    assert cluster.read(tree.paths) == Cluster("algo-1", ("algo-1",))
    cluster.refuse_several(cluster.read(tree.paths))


def test_hosts_are_sorted_and_further_keys_are_ignored(tree) -> None:
    tree.write(
        "resourceconfig.json",
        {"current_host": "algo-2", "hosts": ["algo-2", "algo-1"], "network_interface_name": "eth0", "new_key": {}},
    )
    assert cluster.read(tree.paths) == Cluster("algo-2", ("algo-1", "algo-2"))


def test_several_hosts_are_refused_in_one_line() -> None:
    with pytest.raises(UsageError) as refusal:
        cluster.refuse_several(Cluster("algo-1", ("algo-1", "algo-2")))
    expected = "This version trains on one machine. Received 2 hosts: algo-1, algo-2. Set the instance count to 1."
    assert str(refusal.value) == expected


@pytest.mark.parametrize(
    "described",
    [{"hosts": []}, {"hosts": "algo-1"}, {"hosts": [1]}, {"hosts": ["a"], "current_host": "b"}, ["algo-1"]],
)
def test_malformed_files_are_refused(tree, described: Any) -> None:
    tree.write("resourceconfig.json", described)
    with pytest.raises(UsageError, match=r"resourceconfig\.json"):
        cluster.read(tree.paths)
