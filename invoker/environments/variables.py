"""The environment variables a worker is given (AWS Lambda developer guide, "Defined runtime environment variables")."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

from invoker.environments.runtimes import runtime
from invoker.isolation.contract import Box
from samovar.function import FunctionVersion

InitializationType = Literal["on-demand", "provisioned-concurrency", "snap-start"]
"""How an environment came to be: for a call, in advance, or from an initialised process of the same version."""

_FIXED: Final = {
    "LANG": "en_US.UTF-8",
    "LC_CTYPE": "C.UTF-8",
    "TZ": ":UTC",
    "SHLVL": "0",
    # AWS X-Ray's SDK loses what it records, rather than the call, where nobody listens or no segment is open.
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
    "_AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1",
    "_AWS_XRAY_DAEMON_PORT": "2000",
}
_PATH: Final = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:{opt}/bin"
_LIBRARY_PATH: Final = "/var/lang/lib:/lib64:/usr/lib64:{runtime}:{runtime}/lib:{task}:{task}/lib:{opt}/lib"

_NODE_PATH: Final = (
    "{opt}/nodejs/node{major}/node_modules:{opt}/nodejs/node_modules:{runtime}/node_modules:{runtime}:{task}"
)


def log_stream_name(version: FunctionVersion, environment_id: str, now_epoch: float) -> str:
    """The log stream of one environment: `YYYY/MM/DD/[VERSION]32hex`, with the function's name in a group of others."""
    day = datetime.fromtimestamp(now_epoch, UTC).strftime("%Y/%m/%d")
    name = version.name if version.logging.log_group else ""
    return f"{day}/{name}[{version.version}]{environment_id.ljust(32, '0')}"


def interpreter_variables(task_root: str, runtime_dir: str, opt_dir: str, name: str = "python") -> dict[str, str]:
    """What the interpreter of a runtime, or of a language, reads only when it starts.

    The keeper is started with these, so that the workers it forks need not start an interpreter of their own.
    """
    libraries = {"LD_LIBRARY_PATH": _LIBRARY_PATH.format(runtime=runtime_dir, task=task_root, opt=opt_dir)}
    if name.startswith("nodejs"):
        major = name.removeprefix("nodejs").partition(".")[0]
        path = _NODE_PATH.format(runtime=runtime_dir, task=task_root, opt=opt_dir, major=major)
        return {**libraries, "NODE_PATH": path}
    if not name.startswith("python"):
        return libraries
    return {
        **libraries,
        "PYTHONPATH": runtime_dir,
        "PYTHONDONTWRITEBYTECODE": "1",  # the code is mounted read-only
    }


class Folders(NamedTuple):
    """Where a worker finds things, as seen inside its box."""

    task_root: str
    runtime_dir: str
    tmp_dir: str
    opt_dir: str

    @classmethod
    def of(cls, box: Box) -> Folders:
        """Those of a box."""
        return cls(box.task_root, box.runtime_dir, box.tmp_dir, box.opt_dir)

    def search_path(self, runtime: str) -> list[str]:
        """Where an interpreter looks for modules first: the function's own, then its layers', then the runtime's."""
        layers = f"{self.opt_dir}/python"
        return [self.task_root, f"{layers}/lib/{runtime}/site-packages", layers, self.runtime_dir]


class Platform(NamedTuple):
    """What a worker is told of the platform it runs on."""

    endpoint: Mapping[str, str]
    """Where it is. A function's own variables may say otherwise."""
    credentials: Mapping[str, str]
    """What it may do there."""


def worker_variables(
    version: FunctionVersion,
    log_stream: str,
    folders: Folders,
    platform: Platform,
    initialization_type: InitializationType = "on-demand",
) -> dict[str, str]:
    """A worker's whole environment: the reserved variables, the common ones, then the function's own."""
    reserved: dict[str, str] = {
        "_HANDLER": version.handler,
        "AWS_REGION": version.region,
        "AWS_DEFAULT_REGION": version.region,
        "AWS_LAMBDA_FUNCTION_NAME": version.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(version.limits.memory_mb),
        "AWS_LAMBDA_FUNCTION_VERSION": version.version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": initialization_type,
        "AWS_LAMBDA_LOG_GROUP_NAME": version.logging.group_of(version.name),
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        **platform.credentials,
        "LAMBDA_TASK_ROOT": folders.task_root,
        "LAMBDA_RUNTIME_DIR": folders.runtime_dir,
    }
    if version.logging.is_json:
        reserved["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        reserved["AWS_LAMBDA_LOG_LEVEL"] = version.logging.application_log_level or "INFO"
    if version.image is not None:  # it has variables of its own, which are in force where the function has none
        del reserved["LAMBDA_TASK_ROOT"], reserved["LAMBDA_RUNTIME_DIR"], reserved["_HANDLER"]
        return {**platform.endpoint, **version.environment, **reserved}
    language = runtime(version.runtime).language
    if language != "provided":  # AWS leaves it to the runtime there
        reserved["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{version.runtime}"
    common = {
        **_FIXED,
        **platform.endpoint,
        **interpreter_variables(folders.task_root, folders.runtime_dir, folders.opt_dir, version.runtime),
        "PATH": _PATH.format(opt=folders.opt_dir),
        "PWD": folders.task_root,
        "HOME": folders.tmp_dir,
        "TMPDIR": folders.tmp_dir,
    }
    return {**common, **version.environment, **reserved}
