"""What an hour of an instance costs: from the table in the package, or from what AWS said when it was last asked.

The table is dated and names its sources; what could not be found in any is not in it.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

TABLE = "prices.json"
CURRENCY = "USD"


@dataclass(frozen=True)
class Price:
    """What an instance costs for an hour of training on demand, in US dollars; ``as_of`` is a date, ISO 8601."""

    region: str
    usd_per_hour: float
    as_of: str
    source: str


def price(instance_type: str, region: str) -> Price | None:
    """Return what AWS said when it was last asked, else what the table in the package says, else None."""
    return next((found for found in _all(instance_type) if found.region == region), None)


def elsewhere(instance_type: str) -> Price | None:
    """Return the newest price in any region: an order of magnitude where the region's own is not known."""
    return max(_all(instance_type), key=lambda found: found.as_of, default=None)


def kept() -> Path:
    """Return the file that the prices asked for are kept in, one for each user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trainbox" / TABLE


def keep(region: str, as_of: str, source: str, usd_per_hour: Mapping[str, float]) -> Path:
    """Write down a region's prices in place of those that were kept for it; return the file. Raises OSError."""
    table = {"region": region, "as_of": as_of, "source": source, "usd_per_hour": dict(sorted(usd_per_hour.items()))}
    others = [one for one in _tables_of(_read_kept()) if one["region"] != region]
    file = kept()
    file.parent.mkdir(parents=True, exist_ok=True)
    # Another trainbox may be reading it: it sees the old prices or the new ones.
    with tempfile.NamedTemporaryFile("w", dir=file.parent, encoding="utf-8", delete=False) as beside:
        json.dump({"tables": [table, *others]}, beside, indent=2)
    Path(beside.name).replace(file)
    return file


def _all(instance_type: str) -> Iterable[Price]:
    packaged = json.loads(files("trainbox.platforms").joinpath(TABLE).read_text(encoding="utf-8"))
    for table in [*_tables_of(_read_kept()), *packaged["tables"]]:
        if instance_type in table["usd_per_hour"]:
            yield Price(table["region"], table["usd_per_hour"][instance_type], table["as_of"], table["source"])


def _read_kept() -> Any:
    try:
        return json.loads(kept().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}


def _tables_of(document: Any) -> list[dict[str, Any]]:
    """Return the tables that are whole: the file is the user's, and may be anything."""
    tables = document.get("tables") if isinstance(document, dict) else None
    return [table for table in tables if _is_table(table)] if isinstance(tables, list) else []


def _is_table(table: Any) -> bool:
    if not isinstance(table, dict) or not isinstance(prices := table.get("usd_per_hour"), dict):
        return False
    return all(isinstance(table.get(name), str) for name in ("region", "as_of", "source")) and all(
        isinstance(one, int | float) and one > 0 for one in prices.values()
    )
