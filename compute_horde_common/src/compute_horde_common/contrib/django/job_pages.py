"""What the pages of jobs have in common in all services."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.http import content_disposition_header
from typing_extensions import override

from compute_horde_common.contrib.django import content_policy, rendering
from compute_horde_common.contrib.django.admin import ReadOnlyAdmin, Row
from compute_horde_common.contrib.django.results import Result, contents

MOST_ARTIFACTS: Final = 100
_DOWNLOADED_AS: Final = {
    "Content-Type": "application/octet-stream",
    content_policy.HEADER: "sandbox; default-src 'none'",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that became true of a job; ``words`` say more about it."""

    at: datetime
    what: object
    words: object = ""


def timeline(moments: Iterable[Moment]) -> str:
    """What happened to a job, in the order of time, with the time from one thing to the next."""
    found = sorted(moments, key=lambda moment: moment.at)
    before = [None, *(moment.at for moment in found)]
    rows = [
        (
            rendering.moment(moment.at),
            "+ " + rendering.duration(moment.at - last) if last else "",
            moment.what,
            moment.words,
        )
        for moment, last in zip(found, before, strict=False)
    ]
    return rendering.table(("at", "after", "what", ""), rows)


class JobPages(ReadOnlyAdmin):
    """Shows what a job left; its output and artifacts can be saved, and are never displayed by
    the browser as anything but text."""

    @abstractmethod
    def result_of(self, job: Row) -> Result:
        """What a job left."""

    @admin.display(description="result")
    def result(self, job: Model) -> str:
        left = self.result_of(job)
        outputs = [
            (heading, rendering.preformatted(text, tail=True), self._address(job, kind, 0))
            for heading, kind, text in (
                ("Standard output", "stdout", left.stdout),
                ("Standard error", "stderr", left.stderr),
            )
            if text
        ]
        context = {
            "outputs": outputs,
            "artifacts": self._artifacts(job, left) if left.artifacts else "",
            "artifacts_left_out": max(0, len(left.artifacts) - MOST_ARTIFACTS),
            "uploads": _uploads(left) if left.upload_results else "",
        }
        if not any(context.values()):
            return "nothing"
        return render_to_string("admin/job_result.html", context)

    @override
    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self._download)
        route = "<path:object_id>/result/<slug:kind>/<int:number>/"
        return [path(route, view, name=self._download_name), *super().get_urls()]

    @property
    def _download_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_result"

    def _address(self, job: Model, kind: str, number: int) -> str:
        return reverse(f"admin:{self._download_name}", args=[job.pk, kind, number])

    def _artifacts(self, job: Model, left: Result) -> str:
        rows = [
            (
                rendering.size(len(contents(left.artifacts[name]))),
                rendering.link(self._address(job, "artifact", number), "download"),
                name,
            )
            for number, name in enumerate(left.paths[:MOST_ARTIFACTS])
        ]
        return rendering.table(("size", "", "path"), rows)

    def _download(
        self, request: HttpRequest, object_id: str, kind: str, number: int
    ) -> HttpResponse:
        job = self.get_object(request, object_id)
        if not self.has_view_permission(request, job):
            raise PermissionDenied
        if job is None:
            raise Http404
        left = self.result_of(job)
        match kind:
            case "stdout" | "stderr":
                text = left.stdout if kind == "stdout" else left.stderr
                return _saved(f"{kind}.txt", text.encode(errors="replace"))
            case "artifact" if number < len(left.paths):
                name = left.paths[number]
                return _saved(name, contents(left.artifacts[name]))
            case _:
                raise Http404


def _uploads(left: Result) -> str:
    rows = [
        (name, rendering.frame(answer))
        for name, answer in list(left.upload_results.items())[:MOST_ARTIFACTS]
    ]
    return rendering.table(("path", "answer"), rows)


def _saved(path_in_job: str, content: bytes) -> HttpResponse:
    name = "".join(sign for sign in PurePosixPath(path_in_job).name if sign.isprintable())
    response = HttpResponse(content, headers=_DOWNLOADED_AS)
    response.headers["Content-Disposition"] = str(
        content_disposition_header(as_attachment=True, filename=name or "artifact")
    )
    return response
