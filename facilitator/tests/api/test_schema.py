"""Whatever the schema allows and whatever it does not: no request may make the service fail."""

from collections.abc import Iterator

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
)

from compute_horde_common.protocol.rest import signature_headers
from facilitator.urls import api
from tests.scene import User, connect_bob, job_body, signature_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _keep_the_connection() -> Iterator[None]:
    """The handler would close the connection, and with it the test's transaction."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


schema = schemathesis.openapi.from_dict(api.get_openapi_schema())
schema.app = WSGIHandler()
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


OPERATIONS = [
    (path, method)
    for path, methods in api.get_openapi_schema()["paths"].items()
    for method in methods
]


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_request_makes_the_service_fail(path: str, method: str, data: st.DataObject) -> None:
    connect_bob()
    headers = {**User.allowed().headers, **signature_headers(signature_of(job_body()))}
    case = data.draw(schema[path][method].as_strategy())

    response = case.call(headers=headers)

    case.validate_response(response, checks=CHECKS)
