"""The switch of new work, in the panel and by ``drain``."""

from datetime import datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from compute_horde_common.chain.keys import Hotkey, verify
from compute_horde_common.contrib.django import serving
from compute_horde_common.contrib.django.models import Serving
from tests.samples import MakeRequest
from validator.services import jobs

PAGE = "/admin/common/serving/1/change/"


def test_an_operator_switches_serving_off(admin_client: Client) -> None:
    admin_client.post(PAGE, {"reason": "moved to another server"})

    found = Serving.objects.get()
    assert (found.on, found.reason) == (False, "moved to another server")


@pytest.mark.django_db(transaction=True)
def test_drain_names_what_runs_and_waits_no_longer_than_it_may(
    make_request: MakeRequest, alice: Hotkey, at: datetime
) -> None:
    request = make_request(alice)
    jobs.take(request, own=alice.ss58, verify=verify, at=at)

    with pytest.raises(CommandError, match=f"1 job runs: {request.uuid} received"):
        call_command("drain", "--wait", "0", stdout=StringIO())

    assert not serving.is_serving()
