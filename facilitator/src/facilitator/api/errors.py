"""How refusals look on the wire: ``{"detail": ...}``, ``{"field": ["reason", ...]}``, for a login
``{"error": ...}``, and a list of one text where there is no validator."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

import structlog
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.http.request import UnreadablePostError
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.parser import Parser
from psycopg_pool import PoolTimeout
from pydantic import JsonValue
from pydantic_core import from_json
from typing_extensions import override

from compute_horde_common.protocol.rest import MAX_BODY_BYTES
from compute_horde_common.protocol.signatures import BadSignature
from compute_horde_common.telemetry.metrics import REFUSALS
from facilitator.domain.refusals import (
    AlreadyReported,
    Conflict,
    LoginRefused,
    Malformed,
    NotFound,
    NotJson,
    NotLoggedIn,
    NoValidator,
    Refused,
    TooLarge,
    TooMany,
    WrongSignature,
    WrongType,
)

STATUS: Final[Mapping[type[Refused], HTTPStatus]] = {
    Conflict: HTTPStatus.CONFLICT,
    NotFound: HTTPStatus.NOT_FOUND,
    NotLoggedIn: HTTPStatus.UNAUTHORIZED,
    WrongSignature: HTTPStatus.UNAUTHORIZED,
    TooMany: HTTPStatus.TOO_MANY_REQUESTS,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    WrongType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
}
"""Every other refusal is a 400."""
WHOLE_BODY: Final = "non_field_errors"
MOST_ERRORS: Final = 20
RETRY_AFTER_SECONDS: Final = 30
LONGEST_TEXT: Final = 500

log = structlog.get_logger(__name__)


class JsonBody(Parser):
    """Takes JSON only, of a bounded size."""

    @override
    def parse_body(self, request: HttpRequest) -> dict[str, JsonValue]:
        if request.content_type != "application/json":
            raise WrongType("Send JSON, with Content-Type: application/json.")
        if len(request.body) > MAX_BODY_BYTES:
            raise _too_large()
        try:
            body = from_json(request.body, allow_inf_nan=False)
        except ValueError as error:
            raise NotJson(f"The body is no JSON: {error}") from None
        if not isinstance(body, dict):
            raise Malformed({WHOLE_BODY: ["The body must be a JSON object."]})
        return body


def install(api: NinjaAPI) -> None:
    """Makes an API answer refusals as described above."""
    api.exception_handler(Refused)(_refused)
    api.exception_handler(BadSignature)(_bad_signature)
    api.exception_handler(ValidationError)(_invalid)
    api.exception_handler(HttpError)(_http_error)
    api.exception_handler(RequestDataTooBig)(lambda request, _: _refused(request, _too_large()))
    api.exception_handler(UnreadablePostError)(_unreadable)
    for kind in (OperationalError, InterfaceError, PoolTimeout):
        api.exception_handler(kind)(_database_away)


def refusals_are_json(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: what is refused before it reaches a view, or for its method, is told in JSON."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if response.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
            return response
        told = JsonResponse({"detail": f"Method {request.method} is not allowed here."})
        told.status_code = response.status_code
        told["Allow"] = response["Allow"]
        return told

    return answer


def page_not_found(_request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django names it
    """Django's answer where no view is."""
    return JsonResponse({"detail": "There is nothing here."}, status=HTTPStatus.NOT_FOUND)


def bad_request(_request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - likewise
    """Django's answer to what it takes for an attack."""
    return JsonResponse({"detail": "The request is malformed."}, status=HTTPStatus.BAD_REQUEST)


def server_error(_request: HttpRequest) -> HttpResponse:
    """Django's answer where a view failed."""
    return JsonResponse(
        {"detail": "The facilitator failed to handle this request."},
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
    )


def _refused(request: HttpRequest, error: Refused) -> HttpResponse:
    REFUSALS.labels("facilitator", type(error).__name__).inc()
    status = STATUS.get(type(error), HTTPStatus.BAD_REQUEST)
    log.info("request refused", path=request.path, status=status.value, reason=str(error))
    response = JsonResponse(_body(request, error), status=status, safe=False)
    if status is HTTPStatus.UNAUTHORIZED and not isinstance(error, WrongSignature):
        response["WWW-Authenticate"] = "Bearer"
    if status is HTTPStatus.TOO_MANY_REQUESTS:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _body(request: HttpRequest, error: Refused) -> object:
    match error:
        case NoValidator():
            return [str(error)]
        case LoginRefused() | AlreadyReported():
            return {"error": str(error)}
        case NotFound() if request.method == "POST":
            return {"error": str(error)}
        case Malformed() if request.path.startswith("/auth/"):
            return {"error": str(error)}
        case Malformed():
            return error.fields
        case _:
            return {"detail": str(error)}


def _bad_signature(request: HttpRequest, error: BadSignature) -> HttpResponse:
    REFUSALS.labels("facilitator", "BadSignature").inc()
    log.info("request refused", path=request.path, status=400, reason=str(error))
    return JsonResponse({"detail": str(error)}, status=HTTPStatus.BAD_REQUEST)


def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    fields: defaultdict[str, list[str]] = defaultdict(list)
    for fault in error.errors[:MOST_ERRORS]:
        name, text = _fault(fault["loc"], str(fault["msg"]))
        fields[name].append(text)
    return _refused(request, Malformed(fields))


def _fault(location: Sequence[str | int], text: str) -> tuple[str, str]:
    """Drops what ninja puts before a field: where it came from, and the parameter's name."""
    names = [str(part) for part in location[2 if location[0] == "body" else 1 :]]
    text = text.removeprefix("Value error, ")[:LONGEST_TEXT]
    if not names:
        return WHOLE_BODY, text
    inside = ".".join(names[1:])
    return names[0], f"{inside}: {text}" if inside else text


def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    if isinstance(error.__cause__, Refused):
        return _refused(request, error.__cause__)
    if error.status_code == HTTPStatus.UNAUTHORIZED:
        return _refused(request, NotLoggedIn("Log in, and send Authorization: Bearer <token>."))
    return JsonResponse({"detail": str(error)}, status=error.status_code)


def _unreadable(request: HttpRequest, _error: UnreadablePostError) -> HttpResponse:
    return _refused(request, NotJson("The body ended early."))


def _database_away(request: HttpRequest, error: Exception) -> HttpResponse:
    log.error("database away", path=request.path, reason=str(error))
    return JsonResponse(
        {"detail": "The facilitator cannot reach its database, try again."},
        status=HTTPStatus.SERVICE_UNAVAILABLE,
    )


def _too_large() -> TooLarge:
    return TooLarge(f"The body has more than {MAX_BODY_BYTES} bytes, which is the most taken.")
