import json
from datetime import timedelta
from uuid import UUID

import pytest
from django.test import Client

from compute_horde_common.contrib.django.models import Outbox
from compute_horde_common.protocol.facilitator_validator import JobRequest
from compute_horde_common.protocol.rest import JobView, signature_headers
from facilitator.models import Job
from tests.scene import (
    ALICE,
    BOB,
    MALLORY,
    Answer,
    User,
    another_signature,
    connect_bob,
    job_body,
    now,
    signature_of,
)

pytestmark = pytest.mark.django_db

INLINE = {"volume_type": "inline", "contents": "UEsFBg==", "relative_path": None}


@pytest.fixture
def alice() -> User:
    connect_bob()
    return User.allowed()


def test_a_created_job_is_shown_as_sent(alice: User) -> None:
    answer = alice.create(job_body(tag="x"))

    job = JobView.model_validate(answer.json())
    assert answer.status_code == 201
    assert (job.status, job.tag, job.artifacts_dir, job.stdout) == ("Sent", "x", "", "")
    assert [(entry.status, entry.metadata) for entry in job.status_history] == [
        ("sent", answer_metadata(answer))
    ]


def answer_metadata(answer: Answer) -> object:
    assert answer.json()["status_history"][0]["metadata"] == {}
    return JobView.model_validate(answer.json()).status_history[0].metadata


def test_the_validator_is_sent_what_was_signed(alice: User) -> None:
    body = job_body(volumes=[INLINE])
    signature = signature_of(body)

    made = alice.create(body, signature).json()

    frame = Outbox.objects.get(recipient=f"validator.{BOB.ss58}", about=made["uuid"]).body
    request = JobRequest.model_validate_json(frame)
    assert (request.signature, request.uuid) == (signature, made["uuid"])
    assert list(json.loads(frame)["env"]) == ["Z", "A"]


def test_the_answer_has_every_member_of_the_api(alice: User) -> None:
    answer = alice.create(job_body())

    assert set(answer.json()) == set(JobView.model_fields)


def test_the_signer_may_be_another_hotkey_than_the_one_that_logged_in(alice: User) -> None:
    body = job_body()

    assert alice.create(body, signature_of(body, MALLORY)).status_code == 201


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"executor_class": "always_on.moon"}, "executor_class"),
        ({"docker_image": "a b"}, "docker_image"),
        ({"docker_image": ""}, "docker_image"),
        ({"args": "echo"}, "args"),
        ({"args": [1]}, "args"),
        ({"env": {"A": 1}}, "env"),
        ({"env": ["A"]}, "env"),
        ({"artifacts_dir": "relative"}, "artifacts_dir"),
        ({"download_time_limit": -1}, "download_time_limit"),
        ({"execution_time_limit": 10**12}, "execution_time_limit"),
        ({"upload_time_limit": None}, "upload_time_limit"),
        ({"volumes": [{"volume_type": "tape"}]}, "volumes"),
        ({"volumes": [{**INLINE, "relative_path": "../x"}]}, "volumes"),
        ({"volumes": [{"volume_type": "multi_volume", "volumes": []}]}, "volumes"),
        ({"uploads": [{"output_upload_type": "zip_and_http_put", "url": "http://x"}]}, "uploads"),
        ({"streaming_details": {"public_key": 5}}, "streaming_details"),
        ({"tag": "x" * 256}, "tag"),
        ({"tag": "\0"}, "tag"),
        ({"job_namespace": "x" * 101}, "job_namespace"),
        ({"target_validator_hotkey": 7}, "target_validator_hotkey"),
    ],
)
def test_a_bad_member_is_refused_with_its_name_and_a_reason(
    alice: User, changes: dict[str, object], field: str
) -> None:
    answer = alice.create(job_body(**changes), signature_of(job_body()))

    assert answer.status_code == 400
    assert list(answer.json()) == [field]
    assert answer.json()[field][0]


def test_missing_members_are_all_told(alice: User) -> None:
    answer = alice.create({}, signature_of(job_body()))

    assert answer.status_code == 400
    assert set(answer.json()) >= {"target_validator_hotkey", "docker_image", "upload_time_limit"}


def test_numbers_may_come_as_text(alice: User) -> None:
    assert alice.create(job_body(download_time_limit="5")).status_code == 201


def test_streaming_details_may_be_null(alice: User) -> None:
    assert alice.create(job_body(streaming_details=None)).status_code == 201


def test_a_job_must_be_signed(alice: User) -> None:
    answer = alice.post("/api/v1/job-docker/", job_body())

    assert (answer.status_code, "not signed" in answer.json()["detail"]) == (400, True)


def test_a_wrong_signature_is_refused(alice: User) -> None:
    answer = alice.create(job_body(), another_signature())

    assert (answer.status_code, list(answer.json())) == (400, ["detail"])


def test_a_signature_of_another_job_is_refused(alice: User) -> None:
    answer = alice.create(job_body(docker_image="evil"), signature_of(job_body()))

    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-CH-Timestamp-NS", "yesterday"),
        ("X-CH-Timestamp-NS", "99999999999999999999"),
        ("X-CH-Signature", "!!"),
        ("X-CH-Signatory", "nobody"),
        ("X-CH-Signature-Scope", "FullRequest"),
        ("X-CH-Signature-Scope", "Everything"),
    ],
)
def test_a_malformed_signature_is_refused(alice: User, header: str, value: str) -> None:
    answer = alice.create(job_body(), None, **{header: value})

    assert (answer.status_code, list(answer.json())) == (400, ["detail"])


@pytest.mark.parametrize("minutes", [-11, 11])
def test_an_old_or_future_signature_is_refused(alice: User, minutes: int) -> None:
    body = job_body()
    signature = signature_of(body, at=now() + timedelta(minutes=minutes))

    answer = alice.create(body, signature)

    assert answer.status_code == 400
    assert "clock" in answer.json()["detail"]


@pytest.mark.parametrize("text", ["{", "[]", "null", '"x"', "[" * 100_000, '{"a": NaN}', "\xff"])
def test_a_body_that_is_no_json_object_is_refused(alice: User, text: str) -> None:
    answer = alice.post("/api/v1/job-docker/", text.encode("latin-1"))

    assert answer.status_code == 400


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", ""])
def test_a_body_of_another_type_is_refused(alice: User, kind: str) -> None:
    answer = alice.client.post(
        "/api/v1/job-docker/", json.dumps(job_body()), content_type=kind, headers=alice.headers
    )

    assert answer.status_code == 415


def test_an_oversize_body_is_refused(alice: User) -> None:
    answer = alice.create(job_body(), signature_of(job_body()), **{"X-A": "b"})
    large = job_body(volumes=[{**INLINE, "contents": "A" * 2_700_000}])

    answer = alice.post("/api/v1/job-docker/", large)

    assert (answer.status_code, "2621440" in answer.json()["detail"]) == (413, True)


def test_a_job_that_the_validator_could_not_read_is_refused(alice: User) -> None:
    answer = alice.create(job_body(volumes=[{**INLINE, "contents": "A" * (1 << 20)}]))

    assert answer.status_code == 400
    assert "1048576" in answer.json()["non_field_errors"][0]
    assert Job.objects.count() == 0


def test_an_unknown_validator_is_told_in_a_list(alice: User) -> None:
    answer = alice.create(job_body(target_validator_hotkey=MALLORY.ss58))

    assert answer.status_code == 400
    assert [type(text) for text in answer.json()] == [str]


def test_a_validator_without_recent_heartbeat_gets_no_jobs() -> None:
    connect_bob(now() - timedelta(minutes=4))

    answer = User.allowed().create(job_body())

    assert (answer.status_code, len(answer.json())) == (400, 1)


def test_other_verbs_are_refused_in_json(alice: User) -> None:
    answer = alice.get("/api/v1/job-docker/")

    assert (answer.status_code, list(answer.json())) == (405, ["detail"])


def test_a_missing_slash_is_redirected() -> None:
    answer = Client().get("/api/v1/jobs")

    assert (answer.status_code, answer["Location"]) == (301, "/api/v1/jobs/")


def test_the_same_signature_makes_one_job(alice: User) -> None:
    body = job_body()
    signature = signature_of(body)

    first, second = alice.create(body, signature), alice.create(body, signature)

    assert (second.status_code, second.json()) == (201, first.json())
    assert Outbox.objects.count() == 1


def test_a_repetition_is_answered_while_the_validator_is_away(alice: User) -> None:
    body = job_body()
    signature = signature_of(body)
    first = alice.create(body, signature).json()
    Job.objects.get(uuid=first["uuid"]).validator.connections.all().delete()

    assert alice.create(body, signature).json()["uuid"] == first["uuid"]


def test_somebody_elses_signature_is_a_conflict(alice: User) -> None:
    body = job_body()
    signature = signature_of(body)
    alice.create(body, signature)

    answer = User.allowed(MALLORY).create(body, signature)

    assert (answer.status_code, list(answer.json())) == (409, ["detail"])


def test_the_same_key_makes_one_job_even_if_signed_anew(alice: User) -> None:
    body = job_body()
    key = {"Idempotency-Key": "mine"}

    first, second = alice.create(body, None, **key), alice.create(body, None, **key)

    assert (second.status_code, second.json()["uuid"]) == (201, first.json()["uuid"])


def test_the_same_key_with_another_body_is_a_conflict(alice: User) -> None:
    key = {"Idempotency-Key": "mine"}
    alice.create(job_body(), None, **key)

    answers = [
        alice.create(job_body(args=["other"]), None, **key),
        alice.create(job_body(tag="other"), None, **key),
    ]

    assert [answer.status_code for answer in answers] == [409, 409]


def test_the_same_key_of_another_user_is_another_key(alice: User) -> None:
    key = {"Idempotency-Key": "mine"}
    first = alice.create(job_body(), None, **key)

    second = User.allowed(MALLORY).create(job_body(), None, **key)

    assert (second.status_code, second.json()["uuid"] == first.json()["uuid"]) == (201, False)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_a_malformed_key_is_refused(alice: User, key: str) -> None:
    answer = alice.create(job_body(), None, **{"Idempotency-Key": key})

    assert (answer.status_code, list(answer.json())) == (400, ["Idempotency-Key"])


def test_headers_count_in_any_case(alice: User) -> None:
    body = job_body()
    headers = {name.lower(): value for name, value in signature_headers(signature_of(body)).items()}

    made = alice.post("/api/v1/job-docker/", body, **headers).json()

    assert Job.objects.get(uuid=UUID(made["uuid"])).hotkey == ALICE.ss58
