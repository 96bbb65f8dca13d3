"""Module paths that programs written for the published SDK import from."""

import importlib
from datetime import timedelta

import pytest

from compute_horde_common.jobs import spec, uploads, volumes
from compute_horde_sdk import v1

PATHS = {
    "compute_horde_sdk._internal.sdk": {
        "DEFAULT_FACILITATOR_URL",
        "DEFAULT_MAX_JOB_RUN_ATTEMPTS",
        "DEFAULT_STREAMING_START_TIME_LIMIT_SEC",
        "HTTP_RETRY_MAX_ATTEMPTS",
        "HTTP_RETRY_MAX_WAIT_SECONDS",
        "HTTP_RETRY_MIN_WAIT_SECONDS",
        "JOB_REFRESH_INTERVAL",
        "ComputeHordeClient",
        "ComputeHordeJob",
        "ComputeHordeJobSpec",
        "ExecutorClass",
        "JobAttemptCallbackType",
        "JobStatusCallbackType",
    },
    "compute_horde_sdk._internal.models": {
        "OUTPUT_MOUNT_PATH_PREFIX",
        "VOLUME_MOUNT_PATH_PREFIX",
        "ComputeHordeHordeFailure",
        "ComputeHordeJobFailure",
        "ComputeHordeJobRejection",
        "ComputeHordeJobResult",
        "ComputeHordeJobStatus",
        "ComputeHordeJobStatusEntry",
        "HTTPInputVolume",
        "HTTPOutputVolume",
        "HuggingfaceInputVolume",
        "InlineInputVolume",
        "InputVolume",
        "JobStatusUpdateMetadata",
        "OutputVolume",
        "StreamingServerDetails",
    },
    "compute_horde_sdk._internal.exceptions": {
        "ComputeHordeError",
        "ComputeHordeJobTimeoutError",
        "ComputeHordeNotFoundError",
    },
    "compute_horde_sdk._internal.fallback.client": {"FallbackClient"},
    "compute_horde_sdk._internal.fallback.job": {
        "FallbackJob",
        "FallbackJobResult",
        "FallbackJobSpec",
        "FallbackJobStatus",
    },
    "compute_horde_sdk._internal.fallback.exceptions": {
        "FallbackError",
        "FallbackJobTimeoutError",
        "FallbackNotFoundError",
    },
    "compute_horde_core.executor_class": {"ExecutorClass"},
    "compute_horde_core.streaming": {"StreamingDetails"},
    "compute_horde_core.certificate": {
        "generate_certificate",
        "generate_certificate_at",
        "save_public_key",
        "serialize_certificate",
        "serialize_private_key",
        "write_certificate",
        "write_private_key",
    },
    "compute_horde_core.signature": {
        "BittensorSignatureScheme",
        "BittensorWalletSigner",
        "BittensorWalletVerifier",
        "Signature",
        "SignatureException",
        "SignatureExtractor",
        "SignatureInvalidException",
        "SignatureNotFound",
        "SignatureScheme",
        "SignatureScope",
        "SignatureTimeoutException",
        "SignedFields",
        "Signer",
        "Verifier",
        "hash_message_signature",
        "signature_from_headers",
        "signature_payload",
        "signature_to_headers",
        "verify_request",
        "verify_signature",
    },
    "compute_horde_core.volume": {
        "HuggingfaceVolume",
        "InlineVolume",
        "MultiVolume",
        "SingleFileVolume",
        "Volume",
        "VolumeDownloadFailed",
        "VolumeDownloader",
        "VolumeType",
        "ZipUrlVolume",
    },
    "compute_horde_core.output_upload": {
        "HttpOutputVolumeResponse",
        "MultiUpload",
        "OutputUpload",
        "OutputUploadFailed",
        "OutputUploadType",
        "OutputUploader",
        "SingleFilePostUpload",
        "SingleFilePutUpload",
        "SingleFileUpload",
        "ZipAndHttpPostUpload",
        "ZipAndHttpPutUpload",
    },
}


@pytest.mark.parametrize("path", PATHS)
def test_a_published_path_has_the_published_names(path: str) -> None:
    module = importlib.import_module(path)

    assert {name for name in PATHS[path] if not hasattr(module, name)} == set()


@pytest.mark.parametrize("path", [path for path in PATHS if path.count(".") == 2])
def test_a_name_is_the_same_thing_wherever_it_is_imported_from(path: str) -> None:
    module = importlib.import_module(path)
    shared = PATHS[path] & set(vars(v1))

    assert shared
    assert {name: getattr(module, name) for name in shared} == {
        name: getattr(v1, name) for name in shared
    }


def test_the_core_package_names_what_is_ours() -> None:
    core = {path: importlib.import_module(path) for path in PATHS if "core" in path}

    assert core["compute_horde_core.executor_class"].ExecutorClass is v1.ExecutorClass
    assert core["compute_horde_core.streaming"].StreamingDetails is spec.StreamingDetails
    assert core["compute_horde_core.volume"].InlineVolume is volumes.InlineVolume
    assert core["compute_horde_core.output_upload"].MultiUpload is uploads.MultiUpload


def test_constants_have_the_published_values() -> None:
    sdk = importlib.import_module("compute_horde_sdk._internal.sdk")
    models = importlib.import_module("compute_horde_sdk._internal.models")

    assert {name: getattr(sdk, name) for name in PATHS[sdk.__name__] if name.isupper()} == {
        "DEFAULT_FACILITATOR_URL": "https://facilitator.computehorde.io/",
        "DEFAULT_MAX_JOB_RUN_ATTEMPTS": 3,
        "DEFAULT_STREAMING_START_TIME_LIMIT_SEC": 5,
        "HTTP_RETRY_MAX_ATTEMPTS": 5,
        "HTTP_RETRY_MAX_WAIT_SECONDS": 5,
        "HTTP_RETRY_MIN_WAIT_SECONDS": 0.2,
        "JOB_REFRESH_INTERVAL": timedelta(seconds=3),
    }
    assert models.VOLUME_MOUNT_PATH_PREFIX == "/volume/"
    assert models.OUTPUT_MOUNT_PATH_PREFIX == "/output/"


def test_kinds_are_equal_to_their_text() -> None:
    volume = importlib.import_module("compute_horde_core.volume")
    upload = importlib.import_module("compute_horde_core.output_upload")

    assert volume.InlineVolume(contents="").volume_type == volume.VolumeType.inline
    put = upload.SingleFilePutUpload(url="https://example.com", relative_path="a")
    assert put.output_upload_type == upload.OutputUploadType.single_file_put
    assert [str(kind) for kind in volume.VolumeType] == list(volume.VolumeType)
