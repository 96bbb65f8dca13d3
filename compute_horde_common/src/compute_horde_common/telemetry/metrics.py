"""Every metric of every service, declared once. Labels come from closed sets, never from peers."""

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client import generate_latest as _generate_latest

REGISTRY = CollectorRegistry(auto_describe=True)
CONTENT_TYPE = CONTENT_TYPE_LATEST

JOB_MOVES = Counter(
    "horde_job_moves",
    "Status changes of jobs.",
    ["service", "status"],
    registry=REGISTRY,
)
FAILURES = Counter(
    "horde_failures",
    "Jobs that ended badly; reasons that we do not know count as other.",
    ["service", "reason", "stage"],
    registry=REGISTRY,
)
JOB_SECONDS = Histogram(
    "horde_job_seconds",
    "From a job's arrival at this service to its end.",
    ["service", "status"],
    buckets=(0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600),
    registry=REGISTRY,
)
LINKS_OPEN = Gauge(
    "horde_links_open",
    "Conversations that are open now.",
    ["service", "peer"],
    registry=REGISTRY,
)
REFUSALS = Counter(
    "horde_refusals",
    "Requests and peers that were turned away.",
    ["service", "reason"],
    registry=REGISTRY,
)
SLOTS_BUSY = Gauge(
    "horde_slots_busy",
    "Executor slots in use.",
    ["service", "executor_class"],
    registry=REGISTRY,
)
OUTBOX_SENT = Counter(
    "horde_outbox_sent",
    "Outbox messages written to a peer, repetitions included.",
    ["service"],
    registry=REGISTRY,
)


def exposition() -> bytes:
    """The registry in Prometheus' text form, to be served as `CONTENT_TYPE`."""
    return _generate_latest(REGISTRY)
