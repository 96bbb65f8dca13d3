"""What the published SDK 0.0.19 was seen to send and to make of answers: facts, as tables.

It was run against a stand-in facilitator. Its signatures are random: they can be checked, and never
be compared.
"""

from dataclasses import dataclass
from typing import Any, Literal

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
AT_NS = 1760000000123456789

ZIP = (
    "UEsDBBQAAAAAAO8BdV0+s+scCQAAAAkAAAALAAAAdmVyc2lvbi50eHR2ZXJzaW9uPTJQSwECFAMUAAAAAADvAXVdPrPr"
    "HAkAAAAJAAAACwAAAAAAAAAAAAAAgAEAAAAAdmVyc2lvbi50eHRQSwUGAAAAAAEAAQA5AAAAMgAAAAAA"
)
"""The published SDK's zip of ``version.txt``."""

MINIMAL: dict[str, Any] = {
    "target_validator_hotkey": BOB,
    "executor_class": "always_on.llm.a6000",
    "docker_image": "my-username/my-image:latest",
    "job_namespace": "SN123.0",
    "args": [],
    "env": {},
    "use_gpu": True,
    "artifacts_dir": None,
    "on_trusted_miner": False,
    "download_time_limit": 10,
    "execution_time_limit": 60,
    "streaming_start_time_limit": 5,
    "upload_time_limit": 20,
}
"""The smallest job's request, members in their order."""


EVERYTHING = MINIMAL | {
    "args": ["main.py", "--block", "10000"],
    "env": {"HF_HUB_ENABLE_HF_TRANSFER": "1"},
    "artifacts_dir": "/artifacts",
    "volumes": [
        {
            "volume_type": "huggingface_volume",
            "repo_id": "my-username/my-model",
            "repo_type": None,
            "revision": None,
            "relative_path": "models/model01",
            "allow_patterns": None,
            "token": None,
        },
        {
            "volume_type": "huggingface_volume",
            "repo_id": "u/d",
            "repo_type": "dataset",
            "revision": "main",
            "relative_path": "ds",
            "allow_patterns": ["*.json", "*.txt"],
            "token": None,
        },
        {"volume_type": "inline", "contents": ZIP, "relative_path": "data"},
        {
            "volume_type": "single_file",
            "url": "https://my-dataset-bucket.s3.amazonaws.com/sample-dataset/data.json",
            "relative_path": "data/dataset.json",
        },
        {"volume_type": "inline", "contents": ZIP, "relative_path": ""},
    ],
    "uploads": [
        {
            "output_upload_type": "single_file_put",
            "url": "https://my-image-bucket.s3.amazonaws.com/images/image.png?X-Amz-Signature=00",
            "relative_path": "image.png",
            "signed_headers": {"x-amz-acl": "private"},
        },
        {
            "output_upload_type": "single_file_post",
            "url": "https://my-image-bucket.s3.amazonaws.com/",
            "form_fields": {"key": "log.txt", "policy": "cA=="},
            "relative_path": "sub/dir/log.txt",
            "signed_headers": None,
        },
    ],
}
"""A job's request with everything that one can have."""

JOB_UUID = "0edcdc8d-d7b6-4f91-a5ba-1cec072860db"
TRUSTED_UUID = "ad955e2b-9ec3-4e77-a5b2-dab8b7ceac15"
REPORTED = {
    "expected_hash": "aa",
    "actual_hash": "bb",
    "reason": "hash_mismatch",
    "unicode": "zażółć",
}
LENGTHS = {"minimal": 373, "trusted": 372, "report": 209, "report without details": 124}
"""The Content-Length of requests."""

JOB: dict[str, Any] = {
    "uuid": JOB_UUID,
    "executor_class": "always_on.llm.a6000",
    "created_at": "2026-11-21T00:16:27.165889Z",
    "docker_image": "my-username/my-image:latest",
    "job_namespace": "SN123.0",
    "args": [],
    "env": {},
    "use_gpu": True,
    "tag": "",
    "volumes": [],
    "uploads": [],
    "artifacts": {},
    "artifacts_dir": "",
    "target_validator_hotkey": BOB,
    "on_trusted_miner": False,
    "upload_results": {},
    "download_time_limit": 10,
    "execution_time_limit": 60,
    "streaming_start_time_limit": 5,
    "upload_time_limit": 20,
    "streaming_client_cert": "",
    "streaming_server_cert": "",
    "streaming_server_address": "",
    "streaming_server_port": 0,
    "status_history": [
        {"status": "sent", "metadata": {}, "created_at": "2026-11-21T00:16:27.165944Z"}
    ],
    "status": "Sent",
    "last_update": "2026-11-21T00:16:27.165944Z",
    "stdout": "",
    "stderr": "",
}
"""A job as it is answered."""


@dataclass(frozen=True)
class Vector:
    """A body, the text that is signed of it, its digest (hex) and a signature (base64) by `ALICE`,
    both at `AT_NS`."""

    body: dict[str, Any]
    text: str
    digest: str
    signature: str
    scope: Literal["SignedFields", "FullRequest"]


VECTORS = {
    "minimal": Vector(
        body=MINIMAL,
        text=(
            '{"executor_class":"always_on.llm.a6000","docker_image":"my-username/my-image:latest"'
            ',"args":[],"env":{},"use_gpu":true,"artifacts_dir":"","on_trusted_miner":false,"down'
            'load_time_limit":10,"execution_time_limit":60,"upload_time_limit":20,"streaming_star'
            't_time_limit":5,"streaming_details":null,"volumes":[],"uploads":[]}'
        ),
        digest=(
            "0ace2c7ba3601bc4592ffb4a0a039519be6bc89f4b268c611d2825783e2290497ce966f75e144f807997"
            "7a61678fe51c45e96258bcf25ef0d5d302e00c542127"
        ),
        signature=(
            "fHn9Q4JcRLg4YKwyAVw7Gg9Cjv/6NIm9y8xYVHio0lsK0TqzCScTJiOdAx3pe4ZixMsuZHRFFZtNdtuLIIHm"
            "gw=="
        ),
        scope="SignedFields",
    ),
    "env_args_unicode": Vector(
        body=MINIMAL
        | {
            "args": ["sh", "-c", 'echo "zażółć" > /artifacts/ü'],
            "env": {"B": "2", "A": "żółw \n\t"},
            "artifacts_dir": "/artifacts",
        },
        text=(
            '{"executor_class":"always_on.llm.a6000","docker_image":"my-username/my-image:latest"'
            ',"args":["sh","-c","echo \\"zażółć\\" > /artifacts/ü"],"env":{"B":"2","A":"żółw \\n'
            '\\t"},"use_gpu":true,"artifacts_dir":"/artifacts","on_trusted_miner":false,"download'
            '_time_limit":10,"execution_time_limit":60,"upload_time_limit":20,"streaming_start_ti'
            'me_limit":5,"streaming_details":null,"volumes":[],"uploads":[]}'
        ),
        digest=(
            "41538de2c35b123e8662bf4ade4d67c5aa300730f68071ec83d12b0cfe8fae9b8206d1dc34fad0c1ed9f"
            "15daddf56b04a2bb4d997cfe71f1f2f93718e44bed06"
        ),
        signature=(
            "QJPGrwM0rmMzrvXUn7JC9r7r/fBrSh32MdTFKWvOc2GItXagw7fuKa0CJBfh5B2OY4r1B4sy+ovny9Tpnvpj"
            "jQ=="
        ),
        scope="SignedFields",
    ),
    "volumes_uploads": Vector(
        body=MINIMAL
        | {
            "volumes": [
                {
                    "volume_type": "huggingface_volume",
                    "repo_id": "u/m",
                    "repo_type": None,
                    "revision": None,
                    "relative_path": "m",
                    "allow_patterns": None,
                    "token": None,
                },
                {"volume_type": "inline", "contents": "UEsFBg==", "relative_path": "i"},
                {
                    "volume_type": "single_file",
                    "url": "https://e/x?a=1&b=2",
                    "relative_path": "d.json",
                },
            ],
            "uploads": [
                {
                    "output_upload_type": "single_file_put",
                    "url": "https://s/p",
                    "relative_path": "p",
                    "signed_headers": None,
                },
                {
                    "output_upload_type": "single_file_post",
                    "url": "https://s/",
                    "form_fields": {"key": "k"},
                    "relative_path": "q",
                    "signed_headers": {"x": "y"},
                },
            ],
        },
        text=(
            '{"executor_class":"always_on.llm.a6000","docker_image":"my-username/my-image:latest"'
            ',"args":[],"env":{},"use_gpu":true,"artifacts_dir":"","on_trusted_miner":false,"down'
            'load_time_limit":10,"execution_time_limit":60,"upload_time_limit":20,"streaming_star'
            't_time_limit":5,"streaming_details":null,"volumes":[{"volume_type":"huggingface_volu'
            'me","repo_id":"u/m","repo_type":null,"revision":null,"relative_path":"m","allow_patt'
            'erns":null,"token":null},{"volume_type":"inline","contents":"UEsFBg==","relative_pat'
            'h":"i"},{"volume_type":"single_file","url":"https://e/x?a=1&b=2","relative_path":"d.'
            'json"}],"uploads":[{"output_upload_type":"single_file_put","url":"https://s/p","rela'
            'tive_path":"p","signed_headers":null},{"output_upload_type":"single_file_post","url"'
            ':"https://s/","form_fields":{"key":"k"},"relative_path":"q","signed_headers":{"x":"y'
            '"}}]}'
        ),
        digest=(
            "e5de33cb170b9071455bf047dd993c792790468f86f0b8bad40bc0d5a2125177c7bf49e5374525625132"
            "5451048a9aa01cf67f6b02cf9f8e9bce0554dc72ae12"
        ),
        signature=(
            "WlZifnqibqLCJ6h/zT/JzcrJKXw51eo+v/l4a1JhmTAV28bsMo0B8Czm/Bmo7i/jwSGhNnTq3hJltZogkPVd"
            "hg=="
        ),
        scope="SignedFields",
    ),
    "streaming": Vector(
        body=MINIMAL
        | {
            "streaming_details": {
                "public_key": "-----BEGIN CERTIFICATE-----\nX\n-----END CERTIFICATE-----\n"
            }
        },
        text=(
            '{"executor_class":"always_on.llm.a6000","docker_image":"my-username/my-image:latest"'
            ',"args":[],"env":{},"use_gpu":true,"artifacts_dir":"","on_trusted_miner":false,"down'
            'load_time_limit":10,"execution_time_limit":60,"upload_time_limit":20,"streaming_star'
            't_time_limit":5,"streaming_details":{"public_key":"-----BEGIN CERTIFICATE-----\\nX\\'
            'n-----END CERTIFICATE-----\\n","executor_ip":null},"volumes":[],"uploads":[]}'
        ),
        digest=(
            "7d2d9af836446ca035f84145655899f6ea4e5e96c57ef7918971f0ba3395062e21f7e8c040d1f7336b94"
            "bed3166ebf567e34aaa9ffc67fee363dfc4db31bcf12"
        ),
        signature=(
            "GNtWFUZHFstDGJpy+b8VLpEFeLIaDhim3OJt3khFCxiouyaehuvIuDSItGSvnq9JHyT4nVML4naVttcXlaFa"
            "gA=="
        ),
        scope="SignedFields",
    ),
    "trusted": Vector(
        body=MINIMAL | {"on_trusted_miner": True},
        text=(
            '{"executor_class":"always_on.llm.a6000","docker_image":"my-username/my-image:latest"'
            ',"args":[],"env":{},"use_gpu":true,"artifacts_dir":"","on_trusted_miner":true,"downl'
            'oad_time_limit":10,"execution_time_limit":60,"upload_time_limit":20,"streaming_start'
            '_time_limit":5,"streaming_details":null,"volumes":[],"uploads":[]}'
        ),
        digest=(
            "55c02893542618b06eb08e2c48ecce7322946ac0e4b15978ace7496552c93471b442a71183879cf7f5a5"
            "04b5402e8b600906b32721eebbead03924b605b8d275"
        ),
        signature=(
            "YLAHSmDIrIm24208P8ae97sbzvB/8lmxkRkF9aV/tWtrNScuTo7uEjEJEiQ/OpWDKsulIdATeINOX3TcQ+B7"
            "hA=="
        ),
        scope="SignedFields",
    ),
    "cheated_null_details": Vector(
        body={
            "job_uuid": "1c4904f0-b614-4e27-8e50-7bfc5ddab8fd",
            "trusted_job_uuid": "8c8d1f5e-5d1c-4c35-8e47-0e913a2d51aa",
            "details": None,
        },
        text=(
            '{"details": null, "job_uuid": "1c4904f0-b614-4e27-8e50-7bfc5ddab8fd", "trusted_job_u'
            'uid": "8c8d1f5e-5d1c-4c35-8e47-0e913a2d51aa"}'
        ),
        digest=(
            "f4930fc651d924f6d725a901ed9c5fe503dd1121fd478326aba5c820bae2a25a3e6e9989850d8e54f20e"
            "5843c698fbe7309dbe9465a257c9f2b5ebf571d4aef8"
        ),
        signature=(
            "2F2R6MjwbLCCKOKUbLtA5ckwIfJ1jvBXjKtmpwMnNSzhnEbEofIdxy9cYF3rCLbNAS5b1EzbhN8AQvsiq42Z"
            "gQ=="
        ),
        scope="FullRequest",
    ),
    "cheated_details": Vector(
        body={
            "job_uuid": "1c4904f0-b614-4e27-8e50-7bfc5ddab8fd",
            "trusted_job_uuid": "8c8d1f5e-5d1c-4c35-8e47-0e913a2d51aa",
            "details": {"z": 1, "a": "zażółć", "n": 1.0},
        },
        text=(
            '{"details": {"a": "za\\u017c\\u00f3\\u0142\\u0107", "n": 1.0, "z": 1}, "job_uuid": "'
            '1c4904f0-b614-4e27-8e50-7bfc5ddab8fd", "trusted_job_uuid": "8c8d1f5e-5d1c-4c35-8e47-'
            '0e913a2d51aa"}'
        ),
        digest=(
            "6d8b8f07731e0e82bb323a2bbb882a90ce08bc8bf1f0a776410bf477c1f132219ccf572da6d46e7d976a"
            "285ccdc8b0e485a5cd26f2bc8f290de537c53cd1457d"
        ),
        signature=(
            "1Eh/u7le9f2sTxkQwgpUvAavHkriu3i4OvNfEwv4wH8TuAVo45sMVuD24AZcWHbc7RmDPMYn6sQCIiB2jiE+"
            "hw=="
        ),
        scope="FullRequest",
    ),
}
