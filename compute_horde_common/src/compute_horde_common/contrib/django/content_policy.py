"""What browsers may do on the pages of the admin, whose texts are partly other people's."""

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase

HEADER: Final = "Content-Security-Policy"
# The theme's scripts evaluate the expressions in its own attributes; nothing inline runs, nothing
# is loaded from elsewhere, and nothing is sent there.
POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)

Respond = Callable[[HttpRequest], HttpResponseBase]


def admin_runs_only_its_own(respond: Respond) -> Respond:
    """Middleware. A page that says something stricter of itself keeps it."""

    def respond_with_policy(request: HttpRequest) -> HttpResponseBase:
        response = respond(request)
        if request.resolver_match and request.resolver_match.app_name == "admin":
            response.headers.setdefault(HEADER, POLICY)
        return response

    return respond_with_policy
