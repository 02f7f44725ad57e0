"""Whether what stands in AWS is as Trainbox would have made it: AWS adds to what it was given, and sorts it anew."""

import json
from typing import Any


def includes(there: Any, wanted: Any) -> bool:
    """Tell whether all of ``wanted`` is in ``there``, whatever else is: keys, and members of lists in any order."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(key in there and includes(there[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        # Policies may name a single member without a list around it.
        members = there if isinstance(there, list) else [there]
        return all(any(includes(member, one) for member in members) for one in wanted)
    return bool(there == wanted or there == [wanted])


def compact(document: Any) -> str:
    """Return a policy as AWS takes it."""
    return json.dumps(document, separators=(",", ":"))
