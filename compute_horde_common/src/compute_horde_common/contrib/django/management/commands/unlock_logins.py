"""``unlock_logins``: forgets the failed logins, for an operator who has to wait because of them."""

from django.core.management.base import BaseCommand
from typing_extensions import override

from compute_horde_common.contrib.django.models import FailedLogin


class Command(BaseCommand):
    """Whoever guesses passwords gains a few guesses by it."""

    help = "Lets everybody try to log in again at once."

    @override
    def handle(self, *args: object, **options: object) -> None:
        FailedLogin.objects.all().delete()
        self.stdout.write("Everybody may try to log in again.")
