"""Listing a folder: this provider beside the bare read of the same pages, Azure's SDK and Airflow's own blob sensor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import chart
import trustme
from rows import Row, figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HERE = Path(__file__).parent
SIZES = (1_000, 5_000, 10_000, 100_000)
_LARGEST = 1_000_000
WAYS = {
    "read": "the bare read",
    "idle": "nothing changed",
    "remember": "first poll",
    "first": "everything new",
    "walk": "walk_blobs",
    "WasbPrefixSensor": "WasbPrefixSensor",
}
# The most that a poll may cost, in bare reads.
_IDLE, _NEW = 1.2, 3.0
# The costs over HTTP, by the size of the folder.
_PLAIN = "HTTP"
Costs = dict[int | str, "Mapping[str, float]"]


class Certificate(NamedTuple):
    """A certificate for this machine, of an authority that nobody else trusts.

    Attributes:
        file: The certificate and its key.
        authority: The certificate of the authority.
    """

    file: Path
    authority: Path

    @classmethod
    def issue(cls, directory: Path) -> Certificate:
        """Make both, and write them to the directory."""
        found = cls(directory / "server.pem", directory / "authority.pem")
        authority = trustme.CA()
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(found.file))
        authority.cert_pem.write_to_path(str(found.authority))
        return found

    @property
    def trusted(self) -> dict[str, str]:
        """The variables by which this provider and Azure's SDK trust the authority."""
        return dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), str(self.authority))


@contextmanager
def serving(certificate: Certificate | None = None) -> Iterator[str]:
    """Replay the pages in a process of its own, over HTTPS if there is a certificate; its address."""
    command = [sys.executable, "-W", "ignore", str(_HERE / "static_listing.py")]
    if certificate:
        command.append(str(certificate.file))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield server.stdout.readline().split()[-1]
        finally:
            server.stdin.close()


def _measure(folder: str, count: int, url: str, trusted: Mapping[str, str]) -> Mapping[str, float]:
    print(f"listing: {folder}", file=sys.stderr, flush=True)
    command = [sys.executable, "-W", "ignore", str(_HERE / "listing_client.py"), folder, str(count), url]
    output = subprocess.run(
        command,
        env={**os.environ, **trusted},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        timeout=900,
    ).stdout
    found: Mapping[str, float] = json.loads(output.splitlines()[-1])
    return found


def measure() -> Costs:
    """All sizes over HTTPS, as Azure serves them, and one over HTTP.

    The ways take turns in one process each, so that a noisy minute meets all of them.
    """
    with tempfile.TemporaryDirectory() as directory:
        certificate = Certificate.issue(Path(directory))
        trusted = certificate.trusted
        with serving(certificate) as url:
            costs: Costs = {count: _measure(f"n{count}", count, url, trusted) for count in (*SIZES, _LARGEST)}
            costs["deep"] = _measure("deep", 1_000, url, trusted)
    with serving() as url:
        costs[_PLAIN] = _measure("n100000", 100_000, url, {})
    return costs


def rows(costs: Costs) -> list[Row]:
    """The rows with their budgets, as ratios within one run."""
    found = []
    for count in (10_000, 100_000):
        cost = costs[count]
        # In a few pages, what each request costs is more of the whole.
        idle = 150.0 if count >= 100_000 else 100.0
        for way, most, least in (("idle", _IDLE, idle), ("remember", _NEW, 45.0), ("first", _NEW, 45.0)):
            for kind in ("", " async"):
                what = f"{count:,} blobs, {WAYS[way]}{kind and ', async'}: CPU"
                ratio = cost[way + kind] / cost["read" + kind]
                beside = f"{figure(cost['walk' + kind] / cost['read' + kind])} times"
                found.append(Row(f"{what} compared with the bare read", ratio, most, "times", beside))
                # How many times less than the peer, turned round: rows have upper bounds.
                share = cost[way + kind] / cost["walk" + kind] * 100
                found.append(Row(f"{what}, as a share of the CPU of walk_blobs", share, 100 / least, "%", "100 %"))
    largest = costs[_LARGEST]
    for way, most in (("idle", _IDLE), ("remember", _NEW), ("first", _NEW)):
        for kind in ("", " async"):
            what = f"1,000,000 blobs, {WAYS[way]}{kind and ', async'}: CPU compared with the bare read"
            found.append(Row(what, largest[way + kind] / largest["read" + kind], most, "times"))
    deep, flat, plain = costs["deep"], costs[1_000], costs[_PLAIN]
    return [
        *found,
        *(
            Row(
                f"100,000 blobs over HTTP, {WAYS[way]}{kind and ', async'}: CPU compared with the bare read",
                plain[way + kind] / plain["read" + kind],
                None,
                "times",
            )
            for way in ("idle", "remember", "first")
            for kind in ("", " async")
        ),
        Row(
            "100,000 blobs, everything new and delivered in one poll: CPU compared with the bare read",
            costs[100_000]["at once"] / costs[100_000]["read"],
            None,
            "times",
        ),
        Row(
            "1,000 blobs with 100,000 more in sub-folders: CPU of a poll, compared with 1,000 blobs alone",
            deep["idle"] / flat["idle"],
            None,
            "times",
        ),
        *(
            Row(
                f"{count:,} blobs, everything new: longest stall of the event loop",
                costs[count]["stall"],
                budget,
                "ms",
                f"{figure(costs[count]['walk stall'])} ms",
            )
            for count, budget in ((5_000, 10), (100_000, None))
        ),
        Row("1,000,000 blobs: memory for each blob", largest["memory"], 13, "B"),
        Row("1,000,000 blobs: stored bytes for each blob", largest["text"], 16.1, "B"),
        *(
            Row(
                f"1,000,000 blobs, {WAYS[way]}: most memory while listing, beyond a page and the cursor",
                largest[f"{way} listing"],
                # What is not decided yet takes 13 bytes for each blob until the poll ends.
                most,
                "MiB",
            )
            for way, most in (("remember", 16), ("first", 32))
        ),
        Row(
            "1,000,000 blobs, nothing new, with a wake queue: requests",
            largest["woken requests"],
            1,
            "",
            "200 and more",
        ),
        Row("1,000,000 blobs, nothing new, with a wake queue: CPU of a poll", largest["woken cpu"], 2, "ms"),
        Row("1,000,000 blobs, nothing new, without one: requests", largest["unwoken requests"]),
        Row("1,000,000 blobs, nothing new, without one: CPU of a poll", largest["unwoken cpu"], None, "ms"),
    ]


def lines(costs: Costs) -> list[tuple[str, ...]]:
    """A table of CPU for each blob by way."""
    names = [*WAYS, "read async", "idle async", "remember async", "first async", "walk async"]
    return [(f"{count:,}", *(f"{figure(costs[count][name])} µs" for name in names)) for count in SIZES]


HEADINGS = (
    "blobs",
    *WAYS.values(),
    "the bare read, async",
    "nothing changed, async",
    "first poll, async",
    "everything new, async",
    "walk_blobs, async",
)


def picture(costs: Costs) -> str:
    """CPU and stalls of one look over the folder's size."""
    looks = {
        WAYS[way]: [(count, costs[count][way] * count / 1000) for count in SIZES]
        for way in ("read", "idle", "first", "walk")
    }
    stalls = {
        WAYS[way]: [(count, costs[count][stall]) for count in SIZES]
        for way, stall in (("first", "stall"), ("walk", "walk stall"))
    }
    panels = [chart.Panel("CPU of one poll, ms", looks), chart.Panel("Longest stall of the event loop, ms", stalls)]
    return chart.draw(panels, "blobs in the folder")
