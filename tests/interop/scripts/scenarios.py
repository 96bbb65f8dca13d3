# mypy: ignore-errors
"""What programs do with the SDK, whichever it is: published, or ours.

Reads where the network is (JSON), and prints what happened in each scenario (JSON), without what
differs from one run to the next.
"""

import asyncio
import json
import sys
import uuid
from datetime import timedelta

import bittensor_wallet

from compute_horde_core.output_upload import HttpOutputVolumeResponse
from compute_horde_core.signature import BittensorWalletSigner, verify_signature
from compute_horde_sdk._internal import sdk
from compute_horde_sdk._internal.models import HTTPInputVolume as DeepHTTPInputVolume
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeJobSpec,
    ExecutorClass,
    HTTPInputVolume,
    HTTPOutputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
)

NOBODY = "00000000-0000-4000-8000-000000000000"
WAIT_SECONDS = 60
ERRORS = (
    "ComputeHordeNotFoundError",
    "ComputeHordeJobTimeoutError",
    "ComputeHordeError",
    "TimeoutError",
    "ValueError",
    "TypeError",
    "RuntimeError",
)
EXACT = ["", "two words", "żółć", "-x", "$HOME", "*", 'quo"te\\']
SHOW = 'for a in "$@"; do printf "[%s]" "$a"; done; printf "{%s}{%s}" "$A" "$B"'
MAKE = (
    "cat /volume/inline/a.txt /volume/web.txt > /artifacts/joined; cp /artifacts/joined /output/a"
)


class Run:
    """One run of all scenarios, against one network."""

    def __init__(self, given):
        self.given = given
        wallet = bittensor_wallet.Wallet(
            name=given["wallet"]["name"],
            hotkey=given["wallet"]["hotkey_name"],
            path=given["wallet"]["directory"],
        )
        self.hotkey = wallet.hotkey
        self.client = ComputeHordeClient(
            hotkey=wallet.hotkey,
            compute_horde_validator_hotkey=given["validator"],
            facilitator_url=given["facilitator"],
        )

    def spec(self, *args, **more):
        fields = {
            "executor_class": ExecutorClass.always_on__test,
            "job_namespace": "SN12.interop",
            "docker_image": self.given["image"],
            "download_time_limit_sec": 10,
            "execution_time_limit_sec": 20,
            "upload_time_limit_sec": 10,
            "args": list(args),
        }
        return ComputeHordeJobSpec(**{**fields, **more})

    async def ended(self, spec, trusted=False):
        job = await self.client.create_job(spec, on_trusted_miner=trusted)
        await job.wait(timeout=WAIT_SECONDS)
        return job

    async def everything(self):
        """Arguments, environment, artifacts, inputs and uploads of all kinds."""
        web = self.given["web"]
        shell = ["sh", "-c", f"{MAKE}; cp /output/a /output/b; {SHOW}; echo err >&2", "sh"]
        job = await self.ended(
            self.spec(
                *shell,
                *EXACT,
                env={"A": "żółw \n x", "B": ""},
                artifacts_dir="/artifacts",
                input_volumes={
                    "/volume/inline/": InlineInputVolume.from_file_contents("a.txt", b"inline "),
                    "/volume/web.txt": HTTPInputVolume(url=web + "/web.txt"),
                    "/volume/hub": HuggingfaceInputVolume(repo_id=self.given["repository"]),
                },
                output_volumes={
                    "/output/a": HTTPOutputVolume(http_method="PUT", url=web + "/put"),
                    "/output/b": HTTPOutputVolume(
                        http_method="POST", url=web + "/post", form_fields={"key": "b"}
                    ),
                },
            )
        )
        return {**shown(job), "refetched": await self.refetched(job)}

    async def refetched(self, job):
        """Whether asking for it again, in three ways, finds the same."""
        again = await self.client.get_job(job.uuid)
        listed = [
            each for each in await self.client.get_jobs(page_size=50) if each.uuid == job.uuid
        ]
        iterated = [each async for each in self.client.iter_jobs() if each.uuid == job.uuid]
        await job.refresh_from_facilitator()
        return [shown(each) == shown(job) for each in (again, *listed, *iterated)]

    async def compressed_inline(self):
        folder = InlineInputVolume.from_file_contents("in/a.txt", b"a" * 99, compress=True)
        return shown(
            await self.ended(
                self.spec("cat", "/volume/x/in/a.txt", input_volumes={"/volume/x": folder})
            )
        )

    async def deep_imports(self):
        file = DeepHTTPInputVolume(url=self.given["web"] + "/web.txt")
        job = await self.ended(self.spec("cat", "/volume/x", input_volumes={"/volume/x": file}))
        signature = BittensorWalletSigner(self.hotkey).sign("text")
        verify_signature("text", signature)
        response = HttpOutputVolumeResponse(headers={"a": "b"}, body="c")
        return [
            shown(job)["stdout"],
            signature.signature_type,
            response.body,
            sdk.ExecutorClass.__name__,
        ]

    async def status_text(self):
        status = (await self.ended(self.spec("true"))).status
        texts = [str(status), f"{status}", status.value, json.dumps({"status": status})]
        return [
            *texts,
            status == "completed",
            status == "Completed",
            {"completed": True}.get(status, False),
        ]

    async def exit_status(self):
        return shown(await self.ended(self.spec("sh", "-c", "echo out; exit 3")))

    async def missing_image(self):
        return shown(
            await self.ended(self.spec("true", docker_image="compute-horde/no-such-image:1"))
        )

    async def missing_input(self):
        absent = HTTPInputVolume(url=self.given["web"] + "/missing")
        return shown(await self.ended(self.spec("true", input_volumes={"/volume/x": absent})))

    async def missing_output(self):
        absent = HTTPOutputVolume(http_method="PUT", url=self.given["web"] + "/absent")
        return shown(await self.ended(self.spec("true", output_volumes={"/output/x": absent})))

    async def too_slow(self):
        return shown(await self.ended(self.spec("sleep", "30", execution_time_limit_sec=1)))

    async def trusted(self):
        job = await self.ended(self.spec("echo", "same"))
        trusted = await self.ended(self.spec("echo", "same"), trusted=True)
        other = await self.ended(self.spec("echo", "other"))
        report = self.client.report_cheated_job
        return {
            "job": shown(trusted),
            "details no JSON": await outcome(
                report(job.uuid, trusted.uuid, details={"a": float("nan")})
            ),
            "reported": await outcome(report(job.uuid, trusted.uuid, details={"hash": "żółć"})),
            "twice": await outcome(report(job.uuid, trusted.uuid)),
            "unknown": await outcome(report(NOBODY, trusted.uuid)),
            "not trusted": await outcome(report(other.uuid, job.uuid)),
        }

    async def status_callbacks(self):
        told = {"plain": [], "async": []}

        def plain(job, entry):
            told["plain"].append(entry.status.value)

        async def coroutine(job, entry):
            told["async"].append([entry.status.value, job.uuid == first.uuid])

        def angry(job, entry):
            raise RuntimeError(entry.status.value)

        first = await self.client.create_job(self.spec("true"))
        await first.wait(timeout=WAIT_SECONDS, status_callback=plain)
        await first.wait(timeout=WAIT_SECONDS, status_callback=coroutine)
        return {**told, "angry": await outcome(first.wait(status_callback=angry))}

    async def wait_timeout(self):
        job = await self.client.create_job(self.spec("sleep", "4"))
        late = await outcome(job.wait(timeout=0.5))
        await job.wait(timeout=WAIT_SECONDS)
        return [late, shown(job)["status"]]

    async def attempts(self):
        made = {"well": [], "badly": []}

        async def noted(job):
            made["badly"].append(job.status.value)

        well = await self.client.run_until_complete(
            self.spec("true"),
            job_attempt_callback=lambda job: made["well"].append(job.status.value),
        )
        badly = await self.client.run_until_complete(
            self.spec("false"), job_attempt_callback=noted, timeout=WAIT_SECONDS, max_attempts=2
        )
        late = self.client.run_until_complete(self.spec("sleep", "2"), timeout=0.5)
        return {
            "made": made,
            "ends": [well.status.value, badly.status.value],
            "late": await outcome(late),
        }

    async def not_found(self):
        return {
            "job": await outcome(self.client.get_job(NOBODY)),
            "uuid object": await outcome(self.client.get_job(uuid.UUID(NOBODY))),
            "page": await outcome(self.client.get_jobs(page=10_000)),
        }

    async def refusals(self):
        """Specs that cannot work."""
        return {name: await outcome(self.made(make)) for name, make in self.wrong().items()}

    async def made(self, make):
        return (await self.client.create_job(make())).uuid

    def wrong(self):
        def output(method="PUT", **more):
            return HTTPOutputVolume(http_method=method, url="https://e.example/x", **more)

        def into(path):
            return lambda: self.spec(
                input_volumes={path: HTTPInputVolume(url="https://e.example/x")}
            )

        def out_of(path):
            return lambda: self.spec(output_volumes={path: output()})

        return {
            "input elsewhere": into("/data/x"),
            "input prefix only": into("/volume"),
            "output elsewhere": out_of("/data/x"),
            "output leaving": out_of("/output/../x"),
            "output folder": out_of("/output/x/"),
            "form fields of a PUT": lambda: self.spec(
                output_volumes={"/output/x": output(form_fields={"a": "b"})}
            ),
            "method": lambda: self.spec(output_volumes={"/output/x": output("GET")}),
            "env value": lambda: self.spec(env={"A": 1}),
            "arg": lambda: self.spec(args=["a", 1]),
            "args text": lambda: self.spec(args="echo hi"),
            "limit fraction": lambda: self.spec(execution_time_limit_sec=1.5),
            "limit null": lambda: self.spec(execution_time_limit_sec=None),
            "class unknown": lambda: self.spec(executor_class="gpu.huge"),
            "class null": lambda: self.spec(executor_class=None),
            "image empty": lambda: self.spec(docker_image=""),
            "args generator": lambda: self.spec(args=(each for each in "ab")),
            "field unknown": lambda: self.spec(colour="blue"),
        }


SCENARIOS = (
    "everything",
    "compressed_inline",
    "deep_imports",
    "status_text",
    "exit_status",
    "missing_image",
    "missing_input",
    "missing_output",
    "too_slow",
    "trusted",
    "status_callbacks",
    "wait_timeout",
    "attempts",
    "not_found",
    "refusals",
)


async def outcome(asking):
    """What it gives, or the errors of the published SDK that it could be caught as."""
    try:
        found = await asking
    except Exception as error:
        return [each.__name__ for each in type(error).__mro__ if each.__name__ in ERRORS]
    return "done" if found is None else "found"


def shown(job):
    result, error = job.result, job.error
    return {
        "status": job.status.value,
        "history": [entry.status.value for entry in job.status_history],
        "is": [job.status.is_successful(), job.status.is_failed(), job.status.is_in_progress()],
        "stdout": result.stdout,
        "stderr": result.stderr,
        "artifacts": {path: content.decode() for path, content in result.artifacts.items()},
        "uploads": {
            path: [answer.headers["etag"], answer.body]
            for path, answer in sorted(result.upload_results.items())
        },
        "error": error and [type(error).__name__, error.reason],
    }


async def main():
    # Where it can be set, it is: the published SDK asks for a job every three seconds.
    sdk.JOB_REFRESH_INTERVAL = timedelta(seconds=0.3)
    run = Run(json.load(sys.stdin))
    print(json.dumps({name: await getattr(run, name)() for name in SCENARIOS}))


asyncio.run(main())
