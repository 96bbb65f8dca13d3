"""The subnet as the validator knows it. Chain and miners are untrusted and sometimes silent, so
every row says how old it is, and an answer that fails leaves the last good one."""

from django.db import models
from typing_extensions import override

from compute_horde_common.contrib.django.models import HOTKEY_LENGTH


class Snapshot(models.Model):
    """When and at which block the miners were last read from the chain; one row."""

    id = models.SmallIntegerField(primary_key=True, default=1, editable=False)
    block = models.BigIntegerField()
    fetched_at = models.DateTimeField()

    class Meta:
        verbose_name = "metagraph snapshot"

    @override
    def __str__(self) -> str:
        return f"block {self.block}"


class MinerOnChain(models.Model):
    """A neuron of the subnet that announces an address; absent ones are kept, not serving."""

    hotkey = models.CharField(max_length=HOTKEY_LENGTH, primary_key=True)
    uid = models.IntegerField()
    host = models.CharField(max_length=64)
    port = models.IntegerField()
    serving = models.BooleanField(default=True, db_index=True)
    seen_at = models.DateTimeField(help_text="when the chain last listed it")

    class Meta:
        verbose_name = "miner"
        ordering = ("uid",)

    @override
    def __str__(self) -> str:
        return self.hotkey


class MinerManifest(models.Model):
    """What a miner said that it offers. No row or no ``fetched_at``: it never answered."""

    hotkey = models.CharField(max_length=HOTKEY_LENGTH, primary_key=True)
    counts = models.JSONField(default=dict, help_text="executors by class")
    fetched_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True, help_text="when it last did not answer")
    last_offer_at = models.DateTimeField(null=True, help_text="when it was last offered a job")

    class Meta:
        verbose_name = "manifest"

    @override
    def __str__(self) -> str:
        return self.hotkey


class AllowedSigner(models.Model):
    """Somebody else whose jobs this validator runs; its own hotkey is always allowed."""

    ss58 = models.CharField("hotkey (ss58)", max_length=HOTKEY_LENGTH, primary_key=True)
    note = models.CharField(max_length=200, blank=True)
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "allowed signer"

    @override
    def __str__(self) -> str:
        return self.ss58
