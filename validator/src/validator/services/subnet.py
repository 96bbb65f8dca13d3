"""What the validator knows about the subnet, kept when chain or miners do not answer."""

from collections.abc import Mapping
from datetime import datetime
from ipaddress import ip_address

from django.db import transaction

from compute_horde_common.chain.interface import Metagraph
from compute_horde_common.jobs.executor_classes import known_classes
from validator.domain.routing import Manifest, Miner
from validator.models import AllowedSigner, MinerManifest, MinerOnChain, Snapshot

MOST_EXECUTORS = 1_000_000


@transaction.atomic
def store_metagraph(metagraph: Metagraph, at: datetime) -> int:
    """Takes over what the chain says; returns how many miners serve.

    An empty answer counts as a failed one: the last good set stays.
    """
    if not metagraph.neurons:
        return MinerOnChain.objects.filter(serving=True).count()
    serving = [
        MinerOnChain(
            hotkey=neuron.hotkey,
            uid=neuron.uid,
            host=neuron.axon.host,
            port=neuron.axon.port,
            serving=True,
            seen_at=at,
        )
        for neuron in metagraph.neurons
        if neuron.axon is not None and neuron.axon.port
    ]
    MinerOnChain.objects.bulk_create(
        serving,
        update_conflicts=True,
        unique_fields=["hotkey"],
        update_fields=["uid", "host", "port", "serving", "seen_at"],
    )
    hotkeys = [miner.hotkey for miner in serving]
    MinerOnChain.objects.filter(serving=True).exclude(hotkey__in=hotkeys).update(serving=False)
    Snapshot.objects.update_or_create(id=1, defaults={"block": metagraph.block, "fetched_at": at})
    return len(serving)


def miners(*, allow_private: bool) -> list[Miner]:
    """The miners that serve the subnet, with what they last said that they offer."""
    manifests = {row.hotkey: row for row in MinerManifest.objects.all()}
    return [
        _miner(row, manifests.get(row.hotkey), allow_private=allow_private)
        for row in MinerOnChain.objects.filter(serving=True)
    ]


def store_manifest(hotkey: str, counts: Mapping[str, int], at: datetime) -> None:
    """Keeps what a miner offers, of the classes that we know."""
    known = {
        spec.name: min(counts[spec.name], MOST_EXECUTORS)
        for spec in known_classes()
        if spec.name in counts
    }
    row = MinerManifest(hotkey=hotkey, counts=known, fetched_at=at)
    MinerManifest.objects.bulk_create(
        [row],
        update_conflicts=True,
        unique_fields=["hotkey"],
        update_fields=["counts", "fetched_at"],
    )


def note_silence(hotkey: str, at: datetime) -> None:
    """Notes that a miner did not say what it offers; what it said before stays."""
    MinerManifest.objects.bulk_create(
        [MinerManifest(hotkey=hotkey, failed_at=at)],
        update_conflicts=True,
        unique_fields=["hotkey"],
        update_fields=["failed_at"],
    )


def somebody_was_never_asked() -> bool:
    """Whether a miner serves that nobody has asked yet what it offers."""
    asked = MinerManifest.objects.exclude(fetched_at=None, failed_at=None).values("hotkey")
    return MinerOnChain.objects.filter(serving=True).exclude(hotkey__in=asked).exists()


def note_offer(hotkey: str, at: datetime) -> None:
    """Notes that a miner is offered a job."""
    MinerManifest.objects.bulk_create(
        [MinerManifest(hotkey=hotkey, last_offer_at=at)],
        update_conflicts=True,
        unique_fields=["hotkey"],
        update_fields=["last_offer_at"],
    )


def counts_of(hotkey: str) -> Mapping[str, int] | None:
    """What a miner last said that it offers; ``None`` if it never did."""
    row = MinerManifest.objects.filter(hotkey=hotkey, fetched_at__isnull=False).first()
    return row.counts if row else None


def allow(ss58: str, note: str = "") -> bool:
    """Lets a hotkey use this validator; False if it could already."""
    _, created = AllowedSigner.objects.get_or_create(ss58=ss58, defaults={"note": note})
    return created


def disallow(ss58: str) -> bool:
    """Shuts a hotkey out again; False if it was not allowed."""
    deleted, _ = AllowedSigner.objects.filter(ss58=ss58).delete()
    return deleted > 0


def allowed_signers(own: str, *claimed: str) -> frozenset[str]:
    """Those of the claimed signers who may use this validator; its ``own`` hotkey always may."""
    known = AllowedSigner.objects.filter(ss58__in=claimed).values_list("ss58", flat=True)
    return frozenset({own, *known})


def is_public(host: str) -> bool:
    """Whether an announced address is one of the public internet."""
    try:
        return ip_address(host).is_global
    except ValueError:
        return False


def _miner(row: MinerOnChain, known: MinerManifest | None, *, allow_private: bool) -> Miner:
    manifest = None
    if known is not None and known.fetched_at is not None:
        manifest = Manifest(counts=known.counts, fetched_at=known.fetched_at)
    return Miner(
        hotkey=row.hotkey,
        host=row.host,
        port=row.port,
        manifest=manifest,
        last_offer_at=known.last_offer_at if known else None,
        dialable=allow_private or is_public(row.host),
    )
