"""Make Prometheus's configuration and ask a running one how its scraping goes and what it holds.

HTTP API: https://prometheus.io/docs/prometheus/latest/querying/api/ (v1; stable).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import requests
import yaml

from orchestrator.errors import BadInput, NotReady

TIMEOUT_S = 10.0
PAUSE_S = 0.25
# Far below the five minutes that Prometheus looks back for a series' last sample; a finished run is seen as soon.
SELDOM_S = 15.0


@dataclass(frozen=True, slots=True)
class Scrape:
    """How the latest scrape of one job went."""

    job: str
    health: str  # up, down or unknown (not scraped yet)
    last_error: str  # "" when there was none


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant query's answer."""

    labels: Mapping[str, str]
    at_s: float  # seconds since 1970
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a range query's answer."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]  # (seconds since 1970, value), in order


def render_config(scrape: Mapping[str, str], interval_s: float, seldom: Mapping[str, str] | None = None) -> str:
    """Return prometheus.yml for these jobs.

    scrape: job -> host:port, resolved in the control network; each serves /metrics.
    interval_s: seconds between scrapes, at least 0.1; a scrape may take as long.
    seldom: job -> host:port/path of what changes only now and then, asked every SELDOM_S seconds.
    """
    if interval_s < 0.1:
        raise BadInput(f"observability.interval: expected at least 0.1 s, saw {interval_s} s; write 1s")
    interval = f"{round(interval_s * 1000)}ms"
    config = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval},
        "scrape_configs": [
            *({"job_name": job, "static_configs": [{"targets": [address]}]} for job, address in scrape.items()),
            *(_seldom(job, *address.split("/", 1)) for job, address in (seldom or {}).items()),
        ],
    }
    return yaml.safe_dump(config, sort_keys=False)


def _seldom(job: str, address: str, path: str) -> dict[str, object]:
    every = f"{round(SELDOM_S * 1000)}ms"
    return {
        "job_name": job,
        "metrics_path": f"/{path}",
        "scrape_interval": every,
        "scrape_timeout": "5s",
        "static_configs": [{"targets": [address]}],
    }


def targets(base_url: str) -> list[Scrape]:
    """Return how scraping goes, one row for each target. Raises NotReady when Prometheus does not answer."""
    found = _ask(base_url, "/api/v1/targets", {"state": "active"})
    rows = found.get("activeTargets") if isinstance(found, dict) else None
    if not isinstance(rows, list):
        raise _odd(base_url, "a list of targets", found)
    return [Scrape(row["labels"].get("job", ""), row["health"], row["lastError"]) for row in rows]


def wait_up(base_url: str, jobs: Iterable[str], deadline_s: float) -> None:
    """Wait until every one of these jobs was scraped well. Raises NotReady after `deadline_s` seconds."""
    wanted = set(jobs)
    ends_s = time.monotonic() + deadline_s
    while True:
        try:
            scrapes = targets(base_url)
            bad = [f"{each.job} {each.health} {each.last_error}".strip() for each in scrapes if each.health != "up"]
            absent = wanted - {each.job for each in scrapes}
            waiting = [text for text in bad if text.split()[0] in wanted] + [f"{job} not configured" for job in absent]
        except NotReady as why:
            waiting = [str(why)]
        if not waiting:
            return
        if time.monotonic() >= ends_s:
            raise NotReady(
                f"prometheus: expected {', '.join(sorted(wanted))} to be scraped within {deadline_s:.0f} s, saw: "
                f"{'; '.join(waiting)}. Try: open {base_url}/targets, or docker logs of the containers it names"
            )
        time.sleep(PAUSE_S)


def query(base_url: str, promql: str) -> list[Sample]:
    """Return an instant query's series, none where nothing matches; a scalar is one series without labels.

    Raises BadInput for an expression Prometheus refuses, NotReady when it does not answer.
    """
    found = _ask(base_url, "/api/v1/query", {"query": promql})
    if not isinstance(found, dict) or found.get("resultType") not in ("vector", "scalar"):
        raise _odd(base_url, "a vector or a scalar", found)
    if found["resultType"] == "scalar":
        at_s, value = found["result"]
        return [Sample({}, float(at_s), float(value))]
    return [Sample(row["metric"], float(row["value"][0]), float(row["value"][1])) for row in found["result"]]


def query_range(base_url: str, promql: str, start_s: float, end_s: float, step_s: float = 1.0) -> list[Series]:
    """Return what an expression was at each step between two instants (seconds since 1970); none where nothing matches.

    A value that is not a number (0 / 0 where nothing happened) is left out, and so is a series that has nothing else.
    Raises BadInput for an expression Prometheus refuses, NotReady when it does not answer.
    """
    asked = {"query": promql, "start": f"{start_s:.3f}", "end": f"{end_s:.3f}", "step": f"{step_s:.3f}"}
    found = _ask(base_url, "/api/v1/query_range", asked)
    if not isinstance(found, dict) or found.get("resultType") != "matrix":
        raise _odd(base_url, "a matrix", found)
    series = (Series(row["metric"], _numbers(row["values"])) for row in found["result"])
    return [one for one in series if one.points]


def _numbers(values: Iterable[tuple[float, str]]) -> tuple[tuple[float, float], ...]:
    read = ((float(at_s), float(text)) for at_s, text in values)
    return tuple((at_s, value) for at_s, value in read if not math.isnan(value))


def _ask(base_url: str, path: str, parameters: Mapping[str, str]) -> object:
    url = base_url.rstrip("/") + path
    try:
        answer = requests.get(url, params=parameters, timeout=TIMEOUT_S)
        told = answer.json()
    except requests.RequestException as why:
        raise NotReady(
            f"prometheus: expected an answer from {url}, saw {type(why).__name__}. "
            "Try: lab up, or docker logs of the container with the label io.netpoll-lab.role=prometheus"
        ) from why
    if answer.status_code in (400, 422):
        raise BadInput(f"prometheus: {parameters}: {told.get('error', 'refused') if isinstance(told, dict) else told}")
    if answer.status_code != 200 or not isinstance(told, dict) or told.get("status") != "success":
        raise _odd(base_url, "status success", told)
    return told["data"]


def _odd(base_url: str, expected: str, seen: object) -> NotReady:
    return NotReady(f"prometheus: expected {expected} from {base_url}, saw {str(seen)[:200]!r}. Try: docker logs")
