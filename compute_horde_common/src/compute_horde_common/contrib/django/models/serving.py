"""Whether a service takes new work."""

from django.db import models
from typing_extensions import override


class Serving(models.Model):
    """The switch; one row. Who takes work asks `contrib.django.serving`, which also knows what
    holds where there is no row."""

    id = models.SmallIntegerField(primary_key=True, default=1, editable=False)
    on = models.BooleanField("takes new work", default=True)
    reason = models.CharField(max_length=200, blank=True, help_text="Why it was switched.")
    switched_at = models.DateTimeField(editable=False)

    class Meta:
        verbose_name = verbose_name_plural = "serving"

    @override
    def __str__(self) -> str:
        return "takes new work" if self.on else "takes no new work"
