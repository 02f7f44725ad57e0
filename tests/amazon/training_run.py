"""One training job from its start to its end: what is downloaded, run, logged and uploaded."""

import json
import re
import tempfile
import time
from pathlib import Path
from typing import Any

from amazon.account import House
from amazon.checkpoints import CheckpointSync
from amazon.container import Container
from amazon.refusals import Refusal
from amazon.training import Job, TrainingJobs, now

LOGS = "/aws/sagemaker/TrainingJobs"
HOST = "algo-1"
POLL_SECONDS = 0.02
SYNC_SECONDS = 0.25


class End(Exception):
    """Why a job ends before its container did its work: a secondary status."""


def run(job: Job, room: TrainingJobs) -> None:
    """Run a job; whatever happens, it comes to an end."""
    house = room.house
    try:
        _launch(job, room)
        while _attempt(job, house):
            job.interruptions += 1
            job.enter("Interrupted")
            house.pause()
            job.enter("Starting")
            house.pause()
            _refuse_stopped(job)
        _keep_warm(job, room)
    except End as end:
        job.finish(str(end), "Stopped", house.spot_share)
    except Refusal as refusal:
        job.finish("Failed", "Failed", house.spot_share, str(refusal))
    except BaseException as problem:
        job.finish("Failed", "Failed", house.spot_share, f"InternalServerError: {problem!r}")
        raise


def _launch(job: Job, room: TrainingJobs) -> None:
    room.house.pause()
    if room.mishaps:
        code, _, message = room.mishaps.pop(0).partition(": ")
        raise Refusal(code, message)
    if job.instances[1] > 1:
        raise Refusal("InternalServerError", "this fake has one machine, and the job asks for more")
    _refuse_stopped(job)


def _refuse_stopped(job: Job) -> None:
    wait = job.request["StoppingCondition"].get("MaxWaitTimeInSeconds")
    if job.stop.is_set():
        raise End("Stopped")
    if wait and (now() - job.created).total_seconds() > wait:
        raise End("MaxWaitTimeExceeded")


def _attempt(job: Job, house: House) -> bool:
    """Run the job on one instance; return True where the instance is taken away."""
    with tempfile.TemporaryDirectory(dir=house.scratch, prefix=f"{job.name}-", ignore_cleanup_errors=True) as folder:
        base = Path(folder) / "ml"
        job.enter("Downloading")
        job.started = job.started or now()
        _lay_out(job, house, base)
        checkpoints = _checkpoints(job, house, base)
        house.pause()
        _refuse_stopped(job)
        job.enter("Training")
        log = house.log(LOGS, f"{job.name}/{HOST}-{int(time.time() * 1000)}")
        container = house.container("train", base, _environment(job), log.put)
        try:
            why = _watch(job, house, container, checkpoints)
        finally:
            status = container.close()
            job.lines += container.lines
            log.close()
        if why == "Interrupted":
            job.interrupted.clear()
            return True
        _conclude(job, house, base, why, status)
        return False


def _lay_out(job: Job, house: House, base: Path) -> None:
    config, asked = base / "input/config", job.request
    for folder in (config, base / "input/data", base / "model", base / "output/data"):
        folder.mkdir(parents=True)
    channels = {}
    for channel in asked["InputDataConfig"]:
        source = channel["DataSource"]["S3DataSource"]
        if channel.get("InputMode", asked["AlgorithmSpecification"]["TrainingInputMode"]) == "Pipe":
            raise Refusal("InternalServerError", "this fake has no Pipe mode")
        house.storage.fetch(source, base / "input/data" / channel["ChannelName"], asked["RoleArn"])
        channels[channel["ChannelName"]] = _channel(channel, source)
    documents: dict[str, Any] = {
        "inputdataconfig": channels,
        "hyperparameters": asked["HyperParameters"],
        "resourceconfig": _resources(job),
    }
    if "CheckpointConfig" in asked:
        documents["checkpointconfig"] = {"LocalPath": asked["CheckpointConfig"].get("LocalPath", "/opt/ml/checkpoints")}
    for name, document in documents.items():
        (config / f"{name}.json").write_text(json.dumps(document))


def _channel(channel: dict[str, Any], source: dict[str, Any]) -> dict[str, str]:
    """Return what the container is told of a channel: FastFile is said to be File."""
    told = {
        "TrainingInputMode": "File",
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    return told | ({"ContentType": channel["ContentType"]} if "ContentType" in channel else {})


def _resources(job: Job) -> dict[str, Any]:
    kind = job.instances[0]
    group = {"instance_group_name": "homogeneousCluster", "instance_type": kind, "hosts": [HOST]}
    return {
        "current_host": HOST,
        "current_instance_type": kind,
        "current_group_name": "homogeneousCluster",
        "hosts": [HOST],
        "instance_groups": [group],
        "network_interface_name": "eth0",
    }


def _checkpoints(job: Job, house: House, base: Path) -> CheckpointSync | None:
    config = job.request.get("CheckpointConfig")
    if not config:
        return None
    local = config.get("LocalPath", "/opt/ml/checkpoints").removeprefix("/opt/ml/")
    sync = CheckpointSync(house.storage, config["S3Uri"], base / local)
    sync.restore()
    return sync


def _environment(job: Job) -> dict[str, str]:
    region = job.arn.split(":")[3]
    own = {"TRAINING_JOB_NAME": job.name, "TRAINING_JOB_ARN": job.arn, "AWS_REGION": region}
    return {**job.request.get("Environment", {}), **own}


def _watch(job: Job, house: House, container: Container, checkpoints: CheckpointSync | None) -> str:
    """Wait for the container's end, and stop it where it is time to; return why it ended, "" where by itself."""
    why, kill_at, synced = "", float("inf"), time.monotonic()
    runtime = job.request["StoppingCondition"]["MaxRuntimeInSeconds"]
    while container.status is None and not house.closing.wait(POLL_SECONDS):
        moment = time.monotonic()
        if job.interrupted.is_set():
            container.kill()
            return "Interrupted"
        if not why and (why := _reason(job, runtime)):
            container.terminate()
            kill_at = moment + house.grace_seconds
        if moment > kill_at:
            container.kill()
        if checkpoints and moment > synced + SYNC_SECONDS:
            checkpoints.store()
            synced = moment
    if checkpoints:
        checkpoints.store()
    return why


def _reason(job: Job, runtime: int) -> str:
    """Return why it is time to stop the job, "" where it is not."""
    wait = job.request["StoppingCondition"].get("MaxWaitTimeInSeconds")
    assert job.started
    if job.stop.is_set():
        return "Stopped"
    if (now() - job.started).total_seconds() > runtime:
        return "MaxRuntimeExceeded"
    return "MaxWaitTimeExceeded" if wait and (now() - job.created).total_seconds() > wait else ""


def _conclude(job: Job, house: House, base: Path, why: str, status: int) -> None:
    """Upload what there is, and come to the end."""
    job.enter("Uploading")
    kms_key = job.request["OutputDataConfig"].get("KmsKeyId")
    house.storage.write_folder(f"{job.output}/output.tar.gz", base / "output/data", kms_key)
    if why or status == 0:
        house.storage.write_folder(job.model, base / "model", kms_key)
    job.metrics = _metrics(job)
    house.pause()
    if why:
        job.finish(why, "Stopped", house.spot_share)
    elif status == 0:
        job.finish("Completed", "Completed", house.spot_share)
    else:
        failure = base / "output/failure"
        said = failure.read_text(errors="replace")[:1000] if failure.is_file() else ""
        job.finish("Failed", "Failed", house.spot_share, f"AlgorithmError: {said}, exit code: {status}")


def _metrics(job: Job) -> list[dict[str, Any]]:
    """Return the last value of each metric that the job's definitions find in its log."""
    found = []
    for definition in job.request["AlgorithmSpecification"].get("MetricDefinitions", ()):
        values = [match[1] for line in job.lines for match in re.finditer(definition["Regex"], line)]
        if values:
            found.append({"MetricName": definition["Name"], "Value": float(values[-1]), "Timestamp": now()})
    return found


def _keep_warm(job: Job, room: TrainingJobs) -> None:
    """Keep the instance for the next job where that was asked, and say so to the job whose instance it was."""
    for earlier in room.jobs.values():
        pool = earlier.warm_pool
        if earlier is not job and pool and pool["Status"] == "Available" and earlier.instances == job.instances:
            earlier.warm_pool = {**pool, "Status": "Reused", "ReusedByJob": job.name}
            break
    kept = job.request["ResourceConfig"].get("KeepAlivePeriodInSeconds")
    if kept and job.status == "Completed":
        job.warm_pool = {"Status": "Available", "ResourceRetainedBillableTimeInSeconds": 0}
