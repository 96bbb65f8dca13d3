"""``ensure_admin``: makes the administrator whom the environment names."""

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from compute_horde_common.contrib.django.config import ServiceConfig, load


class Command(BaseCommand):
    """Run after every migrate; an administrator who exists keeps his password."""

    help = "Creates the administrator ADMIN_USERNAME with ADMIN_PASSWORD, unless he exists."

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        config = load(ServiceConfig)
        username, password = config.admin_username, config.admin_password
        if not username:
            self.stdout.write("ADMIN_USERNAME is not set; no administrator is made.")
            return
        if User.objects.filter(username=username).exists():
            self.stdout.write(f"Administrator {username} exists.")
            return
        if password is None:
            raise CommandError(f"ADMIN_PASSWORD for the new administrator {username} is missing.")
        User.objects.create_superuser(username, password=password.get_secret_value())
        self.stdout.write(f"Administrator {username} created.")
