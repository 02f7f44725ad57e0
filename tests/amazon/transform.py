"""Transform jobs: a model really served, asked about each object below a prefix, its answer written as KEY.out."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from amazon.account import House
from amazon.models import Models
from amazon.protocol import page
from amazon.refusals import Refusal, invalid, taken, unknown
from amazon.served import Served
from amazon.storage import LogStream, split
from amazon.training import now, selected

LOGS = "/aws/sagemaker/TransformJobs"
MEGABYTE = 1 << 20
STRATEGIES = {"SingleRecord": "SINGLE_RECORD", "MultiRecord": "MULTI_RECORD"}


@dataclass
class TransformJob:
    """One transform job: what was asked, and where it stands."""

    request: dict[str, Any]
    arn: str
    model: dict[str, Any]
    status: str = "InProgress"
    failure: str | None = None
    created: datetime = field(default_factory=now)
    started: datetime | None = None
    ended: datetime | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        return self.request["TransformJobName"]

    @property
    def source(self) -> tuple[str, str]:
        return split(self.request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"])

    def finish(self, status: str, failure: str | None = None) -> None:
        """Come to the end."""
        self.status, self.failure, self.ended = status, failure, now()
        self.over.set()


class TransformJobs:
    """The operations on transform jobs."""

    def __init__(self, house: House, models: Models) -> None:
        self._house, self._models = house, models
        self.jobs: dict[str, TransformJob] = {}

    def create_transform_job(self, asked: dict[str, Any]) -> dict[str, Any]:
        arn = self._house.arn("transform-job", asked["TransformJobName"])
        if asked["TransformInput"].get("SplitType", "None") != "None":
            raise invalid("The fake splits nothing: SplitType must be None.")
        if asked.get("MaxConcurrentTransforms", 1) * asked.get("MaxPayloadInMB", 6) > 100:
            raise invalid("MaxConcurrentTransforms * MaxPayloadInMB must not exceed 100 MB.")
        model = self._models.models.get(asked["ModelName"]).request
        with self._house.lock:
            if asked["TransformJobName"] in self.jobs:
                raise taken(arn)
            resources = asked["TransformResources"]
            quota = f"{resources['InstanceType']} for transform job usage"
            self._house.refuse_beyond(quota, 0, resources["InstanceCount"])
            job = TransformJob(asked, arn, model)
            self.jobs[job.name] = job
        self._house.tag(arn, asked.get("Tags"))
        self._house.work(f"transform job {job.name}", lambda: self._run(job))
        return {"TransformJobArn": arn}

    def describe_transform_job(self, asked: dict[str, Any]) -> dict[str, Any]:
        job = self.found(asked["TransformJobName"])
        return {name: value for name, value in job.request.items() if name != "Tags"} | {
            "TransformJobArn": job.arn,
            "TransformJobStatus": job.status,
            "FailureReason": job.failure,
            "CreationTime": job.created,
            "TransformStartTime": job.started,
            "TransformEndTime": job.ended,
        }

    def stop_transform_job(self, asked: dict[str, Any]) -> None:
        job = self.found(asked["TransformJobName"])
        if job.over.is_set():
            raise invalid(f"The request was rejected because the transform job is in status {job.status}.")
        job.status = "Stopping"
        job.stop.set()

    def list_transform_jobs(self, asked: dict[str, Any]) -> dict[str, Any]:
        found, token = page(selected(list(self.jobs.values()), asked), asked)
        listed = [
            {
                "TransformJobName": job.name,
                "TransformJobArn": job.arn,
                "CreationTime": job.created,
                "TransformEndTime": job.ended,
                "TransformJobStatus": job.status,
                "FailureReason": job.failure,
            }
            for job in found
        ]
        return {"TransformJobSummaries": listed, "NextToken": token}

    def found(self, name: str) -> TransformJob:
        """Return a job; raise Refusal where there is none of that name."""
        if name not in self.jobs:
            raise unknown(self._house.arn("transform-job", name))
        return self.jobs[name]

    def _run(self, job: TransformJob) -> None:
        deadline = time.monotonic() + self._house.pause_seconds
        while not job.stop.wait(0.01) and not self._house.closing.is_set() and time.monotonic() < deadline:
            pass
        stream = f"{job.name}/i-{id(job):017x}-{int(time.time())}"
        log, data_log = self._house.log(LOGS, stream), self._house.log(LOGS, f"{stream}/data-log")
        served = Served(self._house, job.model, _environment(job))
        try:
            keys = [key for key in self._house.storage.keys(*job.source) if not key.endswith("/")]
            if not keys:
                raise Refusal("ClientError", f"No S3 objects found under s3://{'/'.join(job.source)}.")
            if job.stop.is_set():
                job.finish("Stopped")
                return
            job.started = now()
            served.start(log.put)
            failed = self._answered(job, keys, served, data_log)
            if job.stop.is_set():
                job.finish("Stopped")
            elif failed:
                job.finish("Failed", "ClientError: See job logs for more information")
            else:
                job.finish("Completed")
        except Refusal as refusal:
            job.finish("Failed", f"AlgorithmError: {refusal.message}" if refusal.code == "ping" else str(refusal))
        finally:
            served.close()
            log.close()
            data_log.close()
            if not job.over.is_set():
                job.finish("Failed", "InternalServerError: We encountered an internal error. Please try again.")

    def _answered(self, job: TransformJob, keys: list[str], served: Served, log: LogStream) -> int:
        """Ask about every object; return how many have no answer."""
        with ThreadPoolExecutor(job.request.get("MaxConcurrentTransforms", 1)) as pool:
            return sum(pool.map(lambda key: not self._answer(job, key, served, log), keys))

    def _answer(self, job: TransformJob, key: str, served: Served, log: LogStream) -> bool:
        if job.stop.is_set() or self._house.closing.is_set():
            return False
        bucket, prefix = job.source
        s3, asked, output = self._house.clients("s3"), job.request["TransformInput"], job.request["TransformOutput"]
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        headers = {"Content-Type": asked.get("ContentType", "application/octet-stream")}
        if "Accept" in output:
            headers["Accept"] = output["Accept"]
        if len(body) > job.request.get("MaxPayloadInMB", 6) * MEGABYTE:
            log.put(f"[sagemaker logs]: {bucket}/{key}: ClientError: Record is larger than MaxPayloadInMB")
            return False
        try:
            reply = served.ask("POST", "/invocations", body, headers)
        except OSError as problem:
            log.put(f"[sagemaker logs]: {bucket}/{key}: Unable to get response from algorithm: {problem}")
            return False
        if reply.status >= 400:
            log.put(f"[sagemaker logs]: {bucket}/{key}: Bad HTTP status received from algorithm: {reply.status}")
            log.put(f"[sagemaker logs]: {bucket}/{key}: Message: {reply.body.decode('utf-8', 'replace')}")
            return False
        # Neither AWS's documents nor anything found say what a prefix without a last slash does to the name.
        name = key[len(prefix.rpartition("/")[0]) :].lstrip("/")
        out, folder = split(output["S3OutputPath"].rstrip("/") + "/")
        s3.put_object(Bucket=out, Key=f"{folder}{name}.out", Body=reply.body)
        return True


def _environment(job: TransformJob) -> dict[str, str]:
    asked = job.request
    told = {"SAGEMAKER_BATCH": "true", "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(asked.get("MaxPayloadInMB", 6))}
    if "BatchStrategy" in asked:
        told["SAGEMAKER_BATCH_STRATEGY"] = STRATEGIES[asked["BatchStrategy"]]
    if "MaxConcurrentTransforms" in asked:
        told["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"] = str(asked["MaxConcurrentTransforms"])
    return {**asked.get("Environment", {}), **told}
