"""The miner's admin panel: jobs with what was said about them, slots, executors, validators."""

from collections.abc import Iterable, Mapping
from typing import Final

from django.contrib import admin
from django.db.models import Case, Exists, F, OuterRef, Prefetch, QuerySet, TextField, Value, When
from django.db.models.functions import Length
from django.http import HttpRequest
from typing_extensions import override

from compute_horde_common.contrib.django import (
    rendering,
    serving_admin,  # noqa: F401 - registers its page
)
from compute_horde_common.contrib.django.admin import (
    HotkeyAdmin,
    HotkeyForm,
    ReadOnlyAdmin,
    Row,
    labelled,
)
from compute_horde_common.contrib.django.job_pages import JobPages, Moment, timeline
from compute_horde_common.contrib.django.results import (
    Result,
    failure_in_words,
    result_of_failure,
    result_of_finished,
)
from compute_horde_common.protocol.base import Codec, MalformedMessage
from compute_horde_common.protocol.live import JobLog
from compute_horde_common.protocol.validator_miner import (
    HordeFailed,
    JobFailedReport,
    JobFinished,
    MinerToValidator,
)
from miner import wiring
from miner.domain.progress import ENDING, JobState
from miner.domain.slots import ExecutorState
from miner.models import BlacklistedValidator, Executor, Job, JobMessage, Slot, Validator

LAST_LIVE_MESSAGES: Final = 20
LAST_EXECUTORS: Final = 20
MOST_SHOWN: Final = 4000
"""Of a message's characters; a longer one is named by its length."""
JOB_STATES: Final[Mapping[str, str]] = {
    state: "info" for state in JobState if state is not JobState.ENDED
}
EXECUTOR_STATES: Final[Mapping[str, str]] = {
    ExecutorState.STARTING: "warning",
    ExecutorState.WAITING: "success",
    ExecutorState.ASSIGNED: "info",
}

_CODEC: Final[Codec[MinerToValidator]] = Codec(MinerToValidator)


class OurHotkeyForm(HotkeyForm):
    is_ss58 = staticmethod(wiring.is_ss58)
    hotkey_field = "hotkey"


@admin.register(Job)
class JobAdmin(JobPages):
    list_display = (
        "whole_uuid",
        "stands",
        "accepted_at",
        "took",
        "executor_class",
        "by",
        "outcome",
    )
    list_filter = (
        "state",
        "executor_class",
        "abandoned",
        ("cancel_requested_at", admin.EmptyFieldListFilter),
        ("closed_at", admin.EmptyFieldListFilter),
        "accepted_at",
    )
    search_fields = ("validator", "outcome")
    search_help_text = "a whole UUID, or a part of a validator's hotkey or of an outcome"
    uuid_field = "job_uuid"
    date_hierarchy = "accepted_at"
    ordering = ("-accepted_at",)
    large = ("offer", "start")
    fieldsets = (
        (None, {"fields": ("job_uuid", "stands", "why", "history")}),
        ("What it left", {"fields": ("result", "live_output")}),
        (
            "Who and where",
            {"fields": ("validator_page", "executor_class", "slot_page", "executor_pages")},
        ),
        (
            "When",
            {
                "fields": (
                    *("accepted_at", "last_activity", "deadline", "cancel_requested_at"),
                    *("ended_at", "took", "closed_at", "abandoned"),
                )
            },
        ),
        ("What was asked for", {"fields": ("offered", "started")}),
    )
    readonly_fields = (
        *("stands", "why", "history", "result", "live_output", "validator_page"),
        *("slot_page", "executor_pages", "took", "offered", "started"),
    )

    @override
    def with_belongings(self, rows: QuerySet[Job]) -> QuerySet[Job]:
        endings = JobMessage.objects.filter(kind__in=[kind.__name__ for kind in ENDING])
        live = JobMessage.objects.filter(kind=JobLog.__name__).order_by("-position")
        executors = Executor.objects.defer("handle").order_by("created_at")
        return rows.select_related("slot").prefetch_related(
            Prefetch("messages", queryset=_outlined(JobMessage.objects.all()), to_attr="said"),
            Prefetch("messages", queryset=endings, to_attr="endings"),
            Prefetch("messages", queryset=live[:LAST_LIVE_MESSAGES], to_attr="live"),
            Prefetch("executors", queryset=executors),
        )

    @admin.display(description="job", ordering="job_uuid")
    def whole_uuid(self, job: Job) -> str:
        return rendering.unbroken(job.job_uuid)

    @admin.display(description="validator", ordering="validator")
    def by(self, job: Job) -> str:
        return rendering.short(job.validator)

    @labelled("state", ordering="state", colours=JOB_STATES)
    def stands(self, job: Job) -> str:
        return job.state

    @admin.display(description="took")
    def took(self, job: Job) -> str:
        return rendering.duration(job.ended_at - job.accepted_at if job.ended_at else None)

    @admin.display(description="why it ended")
    def why(self, job: Row) -> str:
        if job.ended_at is None:
            return "It has not ended."
        said = _ending(job)
        if isinstance(said, HordeFailed | JobFailedReport):
            return failure_in_words(said.failure())
        return str(job.outcome)

    @admin.display(description="timeline, and what was said to the validator")
    def history(self, job: Row) -> str:
        states = (
            (job.accepted_at, "accepted", ""),
            (job.cancel_requested_at, "cancelled", "by its author"),
            (job.ended_at, "ended", job.outcome),
            (job.closed_at, "closed", "What was said about the job was deleted."),
        )
        moments = [
            *(Moment(at, what, words) for at, what, words in states if at is not None),
            *(Moment(said.said_at, said.kind, _words(said)) for said in job.said),
        ]
        return timeline(moments)

    @override
    def result_of(self, job: Row) -> Result:
        match _ending(job):
            case JobFinished() as finished:
                return result_of_finished(finished)
            case JobFailedReport() as failed:
                return result_of_failure(failed.failure())
            case _:
                return Result()

    @admin.display(description="end of the live output")
    def live_output(self, job: Row) -> str:
        logs = [_message(said.text) for said in reversed(job.live)]
        texts = [piece.text for log in logs if isinstance(log, JobLog) for piece in log.pieces]
        return rendering.preformatted("".join(texts), tail=True)

    @admin.display(description="validator")
    def validator_page(self, job: Job) -> str:
        return rendering.rows_where(Validator, job.validator, q=job.validator)

    @admin.display(description="slot")
    def slot_page(self, job: Job) -> str:
        return rendering.page_of(getattr(job, "slot", None)) or "none any more"

    @admin.display(description="executors")
    def executor_pages(self, job: Job) -> str:
        return _table_of(job.executors.all())

    @admin.display(description="offer, without credentials")
    def offered(self, job: Job) -> str:
        return rendering.frame(job.offer)

    @admin.display(description="job, without credentials")
    def started(self, job: Job) -> str:
        return rendering.frame(job.start)


@admin.register(Slot)
class SlotAdmin(ReadOnlyAdmin):
    list_display = (
        "executor_class",
        "index",
        "offered",
        "unfit_because",
        "unfit_at",
        "lease",
        "lease_expires",
    )
    list_filter = (
        "executor_class",
        "offered",
        ("lease", admin.EmptyFieldListFilter),
        ("unfit", admin.EmptyFieldListFilter),
    )
    search_fields = ("executor_class", "unfit")
    search_help_text = "a job's whole UUID, or a part of a class or of what makes it unfit"
    uuid_field = "lease__job_uuid"
    list_select_related = ("lease",)
    fields = (
        *("executor_class", "index", "offered", "job_page", "lease_expires"),
        *("unfit_because", "unfit_at", "executors"),
    )
    readonly_fields = ("job_page", "unfit_because", "executors")

    @admin.display(description="unfit because", empty_value="")
    def unfit_because(self, slot: Slot) -> str:
        """Why the slot's host is not offered."""
        return slot.unfit

    @admin.display(description="job")
    def job_page(self, slot: Slot) -> str:
        return rendering.page_of(slot.lease) or "none"

    @admin.display(description=f"last {LAST_EXECUTORS} executors")
    def executors(self, slot: Slot) -> str:
        return _table_of(slot.executors.order_by("-created_at")[:LAST_EXECUTORS])


@admin.register(Executor)
class ExecutorAdmin(ReadOnlyAdmin):
    list_display = ("short_token", "executor_class", "stands", "job", "created_at", "gone_at")
    list_filter = ("state", "executor_class", "manager", "created_at")
    search_fields = ("handle", "address")
    search_help_text = "a job's whole UUID, or a part of the handle or the address"
    uuid_field = "job__job_uuid"
    date_hierarchy = "created_at"
    list_select_related = ("job",)
    fields = (
        "short_token",
        "executor_class",
        "slot_page",
        "manager",
        "handle",
        "address",
        "stands",
        "job_page",
        "job_control",
        "created_at",
        "connected_at",
        "deadline",
        "gone_at",
    )
    readonly_fields = ("short_token", "slot_page", "stands", "job_page")

    @admin.display(description="executor")
    def short_token(self, executor: Executor) -> str:
        """The token is a credential, so it is not shown."""
        return executor.token[:8]

    @labelled("state", ordering="state", colours=EXECUTOR_STATES)
    def stands(self, executor: Executor) -> str:
        return executor.state

    @admin.display(description="slot")
    def slot_page(self, executor: Executor) -> str:
        return rendering.page_of(executor.slot)

    @admin.display(description="job")
    def job_page(self, executor: Executor) -> str:
        return rendering.page_of(executor.job) or "none"


@admin.register(Validator)
class ValidatorAdmin(HotkeyAdmin):
    form = OurHotkeyForm
    list_display = ("hotkey", "active", "debug", "blacklisted", "since")
    list_filter = ("active", "debug")
    search_fields = ("hotkey",)
    fields = ("hotkey", "active", "debug", "since", "jobs")
    readonly_fields = ("since", "jobs")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Validator]:
        listed = BlacklistedValidator.objects.filter(hotkey=OuterRef("hotkey"))
        found: QuerySet[Validator] = super().get_queryset(request)
        return found.annotate(blacklisted=Exists(listed))

    @admin.display(boolean=True, ordering="blacklisted")
    def blacklisted(self, validator: Row) -> bool:
        return bool(validator.blacklisted)

    @admin.display(description="jobs")
    def jobs(self, validator: Validator) -> str:
        if not validator.pk:
            return ""
        return rendering.rows_where(Job, "its jobs", q=validator.hotkey)


@admin.register(BlacklistedValidator)
class BlacklistedValidatorAdmin(HotkeyAdmin):
    form = OurHotkeyForm
    list_display = ("hotkey", "note", "since")
    search_fields = ("hotkey", "note")
    fields = ("hotkey", "note", "since")
    readonly_fields = ("since",)


def _outlined(messages: QuerySet[JobMessage]) -> QuerySet[JobMessage]:
    """Without the job's output, which may come in very many pieces, and without long texts."""
    short = Case(
        When(length__lte=MOST_SHOWN, then=F("text")), default=Value("", output_field=TextField())
    )
    found = messages.exclude(kind=JobLog.__name__).defer("text").order_by("position")
    return found.annotate(length=Length("text")).annotate(short=short)


def _words(said: Row) -> str:
    if not said.short:
        return f"({said.length} characters)"
    return rendering.frame(said.short, left_out=("message_type", "job_uuid"))


def _ending(job: Row) -> MinerToValidator | None:
    """What was said last of a job, while it is kept."""
    return _message(job.endings[-1].text) if job.endings else None


def _message(text: str) -> MinerToValidator | None:
    try:
        return _CODEC.decode(text)
    except MalformedMessage:
        return None


def _table_of(executors: Iterable[Executor]) -> str:
    rows = [
        (
            rendering.page_of(executor),
            executor.state,
            rendering.moment(executor.created_at),
            rendering.moment(executor.gone_at),
        )
        for executor in executors
    ]
    return rendering.table(("executor", "state", "created at", "gone at"), rows)
