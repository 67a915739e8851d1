"""A StatsD server on loopback that keeps what Airflow's StatsD client sends, tags included."""

from __future__ import annotations

import re
import socket
import threading
import uuid
from collections import defaultdict
from typing import Any, NamedTuple, Self

# Airflow itself sends some of its metrics at a rate of less than 1; none of ours.
_LINE = re.compile(
    r"(?P<name>[^,:|]+)(?P<tags>(?:,[^,=:|]+=[^,=:|]+)*):(?P<value>[-+.\d]+)\|(?P<kind>c|g|ms)(?:\|@(?P<rate>[.\d]+))?"
)


class Sample(NamedTuple):
    """One line of StatsD's protocol, with tags as InfluxDB has them."""

    name: str
    value: float
    kind: str
    tags: dict[str, str]
    rate: float = 1


class StatsdServer:
    """Receives metrics over UDP; a context manager."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # Nothing is lost on loopback while there is room.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 2**20)
        self._samples: list[Sample] = []
        self._strange: list[str] = []
        self._marks: dict[str, threading.Event] = {}
        self._thread = threading.Thread(target=self._receive, name="statsd", daemon=True)

    def __enter__(self) -> Self:
        self._socket.bind(("127.0.0.1", 0))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._send("stop")
        self._thread.join()
        self._socket.close()

    @property
    def settings(self) -> dict[str, Any]:
        """The options of Airflow's section ``metrics`` that send to this server."""
        return {
            "statsd_on": True,
            "statsd_host": "127.0.0.1",
            "statsd_port": self._socket.getsockname()[1],
            "statsd_prefix": "airflow",
            # Tags as part of the name: plain StatsD has none.
            "statsd_influxdb_enabled": True,
            "legacy_names_on": False,
            # Airflow 2.11 warns without it.
            "metrics_use_pattern_match": True,
        }

    def samples(self, start: str = "airflow.azureml.") -> list[Sample]:
        """The samples so far of the metrics whose names begin like this."""
        self._catch_up()
        assert not self._strange, self._strange
        return [sample for sample in self._samples if sample.name.startswith(start)]

    def counts(self, *tags: str) -> dict[str, float]:
        """The sums of our counters, by their names without prefixes, and by the values of these tags."""
        sums: defaultdict[Any, float] = defaultdict(float)
        for sample in self.samples():
            if sample.kind == "c":
                name = sample.name.removeprefix("airflow.azureml.")
                sums[(name, *(sample.tags.get(tag) for tag in tags)) if tags else name] += sample.value / sample.rate
        return dict(sums)

    def gauges(self, name: str) -> list[float]:
        """The values of one of our gauges, in order."""
        return [sample.value for sample in self.samples(f"airflow.azureml.{name}") if sample.kind == "g"]

    def clear(self) -> None:
        """Forget what was sent so far."""
        self._catch_up()
        self._samples.clear()

    def _catch_up(self) -> None:
        """Wait until everything is read that was sent before: packets of one socket keep their order."""
        name = uuid.uuid4().hex
        self._marks[name] = reached = threading.Event()
        self._send(f"mark {name}")
        assert reached.wait(30)
        del self._marks[name]

    def _send(self, text: str) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(text.encode(), self._socket.getsockname())

    def _receive(self) -> None:
        while (text := self._socket.recv(65536).decode()) != "stop":
            if text.startswith("mark "):
                self._marks[text.removeprefix("mark ")].set()
                continue
            for line in text.splitlines():
                found = _LINE.fullmatch(line)
                if found is None:
                    self._strange.append(line)
                    continue
                tags = dict(tag.split("=") for tag in found["tags"].split(",")[1:])
                rate = float(found["rate"] or 1)
                self._samples.append(Sample(found["name"], float(found["value"]), found["kind"], tags, rate))
