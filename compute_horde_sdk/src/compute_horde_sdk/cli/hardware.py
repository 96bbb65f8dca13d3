"""``horde classes``: the table of executor classes."""

from rich.table import Table

from compute_horde_common.jobs.executor_classes import ExecutorClassSpec, known_classes
from compute_horde_sdk.cli import printing


def print_classes(*, is_json: bool) -> None:
    """Prints what each class promises."""
    classes = known_classes()
    if is_json:
        printing.print_json([spec.model_dump(exclude={"relative_value"}) for spec in classes])
        return
    table = Table("class", "GPU", "GPU memory", "CPU cores", "memory", "ready within", box=None)
    for spec in classes:
        table.add_row(*_cells(spec))
    printing.out().print(table)


def _cells(spec: ExecutorClassSpec) -> list[str]:
    return [
        spec.name,
        spec.gpu or "",
        f"{spec.vram_gb} GB" if spec.vram_gb else "",
        str(spec.cpu_cores or ""),
        f"{spec.ram_gb} GB" if spec.ram_gb else "",
        f"{spec.spin_up_seconds} s",
    ]
