"""What a migration may do once a release is out: add. The release before still runs beside it,
while servers are upgraded and after a rollback."""

from collections.abc import Collection, Iterable

from django.db import migrations, models
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

_HARMLESS = (
    migrations.CreateModel,
    migrations.AddIndex,
    migrations.RemoveIndex,
    migrations.RenameIndex,
    migrations.AlterModelOptions,
    migrations.AlterModelManagers,
)
Tables = Collection[tuple[str, str]]
"""Models by application and name, in lower case."""


def offences(later: Iterable[migrations.Migration], released: ProjectState) -> list[str]:
    """What the code of a release would not survive.

    Args:
        later: the migrations since, in order.
        released: the models of that release.
    """
    tables = frozenset(released.models)
    state = released.clone()
    found = []
    for migration in later:
        for operation in migration.operations:
            fault = _fault(operation, migration.app_label, tables, state)
            if fault is not None:
                found.append(f"{migration}: {operation.describe()}: {fault}")
            operation.state_forwards(migration.app_label, state)
    return found


def _fault(operation: Operation, app: str, tables: Tables, state: ProjectState) -> str | None:
    match operation:
        case migrations.CreateModel():
            fields = [(name, field) for name, field in operation.fields]
            return _first(_pins(field, app, tables) for _, field in fields)
        case migrations.AddField():
            added = (app, operation.model_name_lower) not in tables
            return _pins(operation.field, app, tables) if added else _missed(operation.field)
        case migrations.AlterField():
            before = state.models[app, operation.model_name_lower].fields[operation.name]
            same = _column(before) == _column(operation.field)
            return None if same else "the release before knows the column as it was"
        case migrations.AddConstraint() if (app, operation.model_name_lower) not in tables:
            return None
        case _ if isinstance(operation, _HARMLESS):
            return None
    return "only what the release before does not notice can be done now"


def _missed(field: "models.Field[object, object]") -> str | None:
    """What is wrong with a new column of a table that the release before writes into."""
    if field.null or field.has_db_default() or field.many_to_many:
        return None
    return "the release before does not fill it: make it nullable, or give it a db_default"


def _pins(field: "models.Field[object, object]", app: str, tables: Tables) -> str | None:
    """What is wrong with a column of a new table that refers to one of the release before."""
    _, _, _, options = field.deconstruct()
    if not isinstance(field, models.ForeignKey) or not options.get("db_constraint", True):
        return None
    target_app, _, target = str(options["to"]).lower().rpartition(".")
    if (target_app or app, target) not in tables:
        return None
    return "the release before could not delete what it refers to: set db_constraint=False"


def _column(field: "models.Field[object, object]") -> tuple[object, ...]:
    """A field without what the database does not see."""
    _, path, args, options = field.deconstruct()
    unseen = {*field.non_db_attrs, "default", "auto_now", "auto_now_add"} - {"db_column"}
    seen = {name: repr(value) for name, value in options.items() if name not in unseen}
    return path, args, seen


def _first(faults: Iterable[str | None]) -> str | None:
    return next((fault for fault in faults if fault is not None), None)
