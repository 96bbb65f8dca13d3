"""Fills every table of a service with two rows: one that says everything, one that says no more
than it must. Moments and numbers are always the same, so that dumps of one schema are equal.

``DJANGO_SETTINGS_MODULE=miner.settings python -m tests.migrations.rows``
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from graphlib import TopologicalSorter

import django
from django.apps import apps
from django.core.management import call_command
from django.db import connection, models, transaction

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    """Migrates the database of the environment, then fills it."""
    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    with transaction.atomic():
        fill()


def fill() -> None:
    """Two rows in every table, and none of those that migrations made."""
    made: dict[type[models.Model], list[models.Model]] = defaultdict(list)
    tables = ", ".join(connection.introspection.django_table_names())
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {tables} CASCADE")
        cursor.execute("UPDATE django_migrations SET applied = %s", [LONG_AGO])
    for model in _in_order(apps.get_models(include_auto_created=True)):
        for number, with_everything in enumerate([True, False]):
            row = model(
                **{
                    field.attname: _value(field, number, made)
                    for field in model._meta.concrete_fields
                    if _is_said(field, with_everything=with_everything)
                }
            )
            row.save_base(raw=True, force_insert=True)  # as it is: not created now
            made[model].append(row)


def _in_order(found: Iterable[type[models.Model]]) -> list[type[models.Model]]:
    """Models after those that their foreign keys lead to."""
    wanted = {
        model: {
            field.related_model
            for field in model._meta.concrete_fields
            if field.is_relation and field.related_model is not model
        }
        for model in sorted(found, key=lambda model: model._meta.label)
    }
    return [model for model in TopologicalSorter(wanted).static_order() if model in wanted]


def _is_said(field: "models.Field[object, object]", *, with_everything: bool) -> bool:
    if isinstance(field, models.AutoField):
        return False
    if with_everything or field.primary_key:
        return True
    if isinstance(field, models.DateTimeField) and not field.null:
        return True  # its default is the present moment
    return not field.null and not field.has_default() and not field.has_db_default()


def _value(
    field: "models.Field[object, object]",
    number: int,
    made: dict[type[models.Model], list[models.Model]],
) -> object:
    """Something for a field; of unique ones, something else for each row."""
    said: object
    match field:
        case models.ForeignKey():
            said = made[field.related_model][number].pk
        case models.BooleanField():
            said = number == 0
        case models.DateTimeField():
            said = LONG_AGO + timedelta(hours=number)
        case models.UUIDField():
            said = uuid.UUID(int=number + 1)
        case models.JSONField():
            said = {field.name: number + 1}
        case models.FloatField():
            said = number + 0.5
        case models.IntegerField():
            said = number + 1
        case models.CharField() | models.TextField():
            said = _text(field, number)
        case _:
            raise TypeError(f"no value is known for {field}, a {type(field).__name__}")
    return said


def _text(field: "models.Field[object, object]", number: int) -> str:
    chosen = [str(value) for value, _ in field.flatchoices]
    text = chosen[number] if len(chosen) > number else f"{field.name} {number + 1}"
    return text[: field.max_length or len(text)]


if __name__ == "__main__":
    main()
