"""What is found wrong with a migration, and what is not."""

import pytest
from django.db import migrations, models
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState
from django.db.models.functions import Now

from tests.migrations.additive import offences

CHARS = models.CharField(max_length=10, help_text="before")


def found(*said: Operation) -> list[str]:
    """What a release with the models Job and Slot would not survive."""
    released = ProjectState()
    key = ("id", models.BigAutoField(primary_key=True))
    released.add_model(ModelState("miner", "Job", [key, ("name", CHARS)]))
    released.add_model(ModelState("miner", "Slot", [key]))
    return offences([_migration(said)], released)


def _migration(said: tuple[Operation, ...]) -> migrations.Migration:
    class Later(migrations.Migration):
        operations = said

    return Later("0009_later", "miner")


def new_table(*fields: tuple[str, "models.Field[object, object]"]) -> Operation:
    return migrations.CreateModel("Note", [("id", models.BigAutoField(primary_key=True)), *fields])


def job(*, db_constraint: bool) -> "models.Field[object, object]":
    return models.ForeignKey("miner.Job", models.CASCADE, db_constraint=db_constraint)


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("Job", "note", models.TextField(null=True)),
        migrations.AddField("Job", "note", models.TextField(db_default="")),
        migrations.AddField("Job", "seen_at", models.DateTimeField(db_default=Now())),
        migrations.AlterField("Job", "name", models.CharField(max_length=10, help_text="after")),
        migrations.AlterField("Job", "name", models.CharField(max_length=10, default="x")),
        migrations.AddIndex("Job", models.Index(fields=["name"], name="by_name")),
        migrations.AlterModelOptions("Job", {"ordering": ["name"]}),
        new_table(("text", models.TextField())),
        new_table(("job", job(db_constraint=False))),
        new_table(("other", models.ForeignKey("miner.Note", models.CASCADE))),
    ],
    ids=lambda operation: operation.describe(),
)
def test_what_the_release_before_does_not_notice_is_fine(operation: Operation) -> None:
    assert found(operation) == []


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        (migrations.AddField("Job", "n", models.IntegerField(default=0)), "does not fill it"),
        (migrations.AddField("Job", "n", models.IntegerField()), "does not fill it"),
        (migrations.RemoveField("Job", "name"), "does not notice"),
        (migrations.RenameField("Job", "name", "title"), "does not notice"),
        (migrations.AlterField("Job", "name", models.CharField(max_length=9)), "as it was"),
        (migrations.AlterField("Job", "name", models.TextField()), "as it was"),
        (
            migrations.AlterField("Job", "name", models.CharField(max_length=10, unique=True)),
            "as it was",
        ),
        (migrations.DeleteModel("Slot"), "does not notice"),
        (migrations.RenameModel("Slot", "Place"), "does not notice"),
        (migrations.AlterModelTable("Slot", "place"), "does not notice"),
        (
            migrations.AddConstraint(
                "Job", models.UniqueConstraint(fields=["name"], name="one_name")
            ),
            "does not notice",
        ),
        (migrations.RunSQL("DROP TABLE miner_job"), "does not notice"),
        (migrations.RunPython(migrations.RunPython.noop), "does not notice"),
        (new_table(("job", job(db_constraint=True))), "db_constraint=False"),
    ],
    ids=lambda value: value.describe() if isinstance(value, Operation) else "",
)
def test_what_would_break_the_release_before_is_told(operation: Operation, fault: str) -> None:
    (told,) = found(operation)

    assert told.startswith("miner.0009_later: ")
    assert fault in told


def test_what_is_new_may_be_changed_at_will() -> None:
    constraint = models.CheckConstraint(condition=models.Q(text="x"), name="only_x")

    told = found(
        new_table(("text", models.TextField())),
        migrations.AddField("Note", "n", models.IntegerField(default=0)),
        migrations.AddConstraint("Note", constraint),
    )

    assert told == []
