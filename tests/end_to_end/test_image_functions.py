"""Functions that are container images, built here on the base image: as a person would build one with AWS's client."""

from __future__ import annotations

import shutil
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped] # it has no types

from samovar.invocation import Outcome
from tests.components import CLIENTS
from tests.end_to_end.lab import ROLE, Function, Lab, laboratory, lambda_client
from tests.end_to_end.programs import PYTHON
from tests.platform import BASE_IMAGE

pytestmark = pytest.mark.component("docker", "awslambdaric")
NAME = "samovar-test/function"
DOCKERFILE = f"""
    FROM {BASE_IMAGE}
    COPY client /client
    COPY app.py other.py /app/
    ENV PYTHONPATH=/client GREETING=hello PATH=/own/bin:/usr/bin:/bin
    WORKDIR /app
    ENTRYPOINT ["/usr/bin/python3", "-m", "awslambdaric"]
    CMD ["app.handler"]
"""
OTHER = """
    import os
    def handler(event, context):
        return ["other", os.getcwd(), os.environ["GREETING"]]
"""
Build = Callable[[str, str], str]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    """Builds an image from a Dockerfile and `other.py`; returns its name. All are removed at the end."""
    folder = tmp_path_factory.mktemp("image")
    shutil.copytree(CLIENTS / "python", folder / "client")
    (folder / "app.py").write_text(textwrap.dedent(PYTHON))
    made: list[str] = []

    def make(tag: str, other: str = OTHER) -> str:
        (folder / "other.py").write_text(textwrap.dedent(other))
        (folder / "Dockerfile").write_text(textwrap.dedent(DOCKERFILE))
        made.append(f"{NAME}:{tag}")
        subprocess.run(["docker", "build", "-q", "-t", made[-1], str(folder)], check=True, capture_output=True)
        return made[-1]

    yield make
    subprocess.run(["docker", "image", "rm", "-f", *made], check=True, capture_output=True)


@pytest.fixture(scope="module")
def docker_lab() -> Iterator[Lab]:
    with laboratory("docker") as lab:
        yield lab


@pytest.fixture(scope="module")
def function(docker_lab: Lab, build: Build) -> Function:
    """The function that does what it is asked, as an image."""
    create(docker_lab, "imaged", build("usual", OTHER))
    return Function(docker_lab, "imaged")


def create(lab: Lab, name: str, uri: str, **parameters: Any) -> dict[str, Any]:
    usual = {"FunctionName": name, "Role": ROLE, "PackageType": "Image", "Code": {"ImageUri": uri}, "Timeout": 5}
    answer: dict[str, Any] = lambda_client(lab.endpoint).create_function(**usual | parameters)
    return answer


def await_update(client: Any, name: str) -> None:
    """Until a change is in force, calls get what was before; on a busy machine that may be after the answer."""
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as caught:
        action()
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValueException"
    return str(caught.value.response["Error"]["Message"])


def test_an_image_is_a_function(function: Function) -> None:
    assert function.value({"do": "echo", "n": 1}) == {"do": "echo", "n": 1}
    first = function.value({"do": "count"})
    assert function.value({"do": "count"}) == first + 1
    assert f"printed for {(answered := function.invoke({'do': 'print'})).request_id}" in answered.log


def test_it_runs_where_its_image_says_with_the_images_variables_under_its_own(docker_lab: Lab, build: Build) -> None:
    uri = build("variables", OTHER)
    create(docker_lab, "variables", uri, Environment={"Variables": {"GREETING": "hi", "MORE": "x"}})
    seen = Function(docker_lab, "variables").value({"do": "variables"})
    assert (seen["GREETING"], seen["MORE"], seen["PATH"]) == ("hi", "x", "/own/bin:/usr/bin:/bin")
    assert (seen["AWS_LAMBDA_FUNCTION_NAME"], seen["LAMBDA_TASK_ROOT"]) == ("variables", "/var/task")
    assert not [name for name in seen if "SAMOVAR" in name]


def test_what_the_function_says_otherwise_than_its_image_counts(docker_lab: Lab, build: Build) -> None:
    config = {"Command": ["other.handler"], "WorkingDirectory": "/client",
              "EntryPoint": ["/usr/bin/env", "PYTHONPATH=/client:/app", "python3", "-m", "awslambdaric"]}  # fmt: skip
    made = create(docker_lab, "otherwise", build("otherwise", OTHER), ImageConfig=config)
    assert made["ImageConfigResponse"]["ImageConfig"] == config
    function = Function(docker_lab, "otherwise")
    assert function.value() == ["other", "/client", "hello"]
    client = lambda_client(docker_lab.endpoint)
    client.update_function_configuration(FunctionName="otherwise", ImageConfig={"Command": ["other.handler"]})
    await_update(client, "otherwise")
    assert function.value() == ["other", "/app", "hello"]
    client.update_function_configuration(FunctionName="otherwise", ImageConfig={})
    await_update(client, "otherwise")
    assert "ImageConfigResponse" not in client.get_function_configuration(FunctionName="otherwise")
    assert function.value({"do": "echo"}) == {"do": "echo"}


def test_exits_and_limits_hold_as_for_any_function(function: Function) -> None:
    function.value({"do": "keep"})
    assert function.error({"do": "exit"})["errorType"] == "Runtime.ExitError"
    assert function.value({"do": "kept"}) is True
    assert function.error({"do": "eat"})["errorType"] == "Runtime.OutOfMemory"
    assert function.readings()[-1].outcome is Outcome.OUT_OF_MEMORY
    assert function.value({"do": "echo"}) == {"do": "echo"}


def test_a_tag_that_moves_changes_nothing_until_the_code_is_updated(docker_lab: Lab, build: Build) -> None:
    uri = build("moving", OTHER)
    made = create(docker_lab, "moving", uri, ImageConfig={"Command": ["other.handler"]})
    client, function = lambda_client(docker_lab.endpoint), Function(docker_lab, "moving")
    assert function.value()[0] == "other"
    build("moving", OTHER.replace('"other"', '"newer"'))
    client.update_function_configuration(FunctionName="moving", MemorySize=256)
    await_update(client, "moving")
    assert function.value()[0] == "other"
    updated = client.update_function_code(FunctionName="moving", ImageUri=uri)
    assert updated["CodeSha256"] != made["CodeSha256"]
    await_update(client, "moving")
    assert function.value()[0] == "newer"


def test_the_api_shows_what_it_is_made_of(docker_lab: Lab, function: Function) -> None:
    shown = lambda_client(docker_lab.endpoint).get_function(FunctionName=function.name)
    configuration, code = shown["Configuration"], shown["Code"]
    assert (configuration["PackageType"], configuration["CodeSize"]) == ("Image", 0)
    assert not {"Runtime", "Handler", "Layers", "ImageConfigResponse"} & configuration.keys()
    said = subprocess.check_output(["docker", "image", "inspect", "-f", "{{.Id}}", f"{NAME}:usual"], text=True).strip()
    assert configuration["CodeSha256"] == said.removeprefix("sha256:")
    assert code == {"RepositoryType": "ECR", "ImageUri": f"{NAME}:usual", "ResolvedImageUri": f"{NAME}@{said}"}


def test_what_is_no_image_and_what_belongs_to_zip_files_is_refused(docker_lab: Lab, function: Function) -> None:
    client = lambda_client(docker_lab.endpoint)
    assert refusal(lambda: create(docker_lab, "none", "no/such:image")) == (
        "Source image no/such:image does not exist. Provide a valid source image that this host's Docker engine has."
    )
    uri = f"{NAME}:usual"
    for more in ({"Runtime": "python3.11"}, {"Handler": "a.b"}):
        said = refusal(partial(create, docker_lab, "x", uri, **more))
        assert said.startswith("Please don't provide handler or runtime")
    assert refusal(lambda: client.update_function_code(FunctionName=function.name, ZipFile=b"x")) == (
        "Please provide ImageUri when updating a function with packageType Image."
    )
    zipped = docker_lab.deploy()
    assert refusal(lambda: client.update_function_code(FunctionName=zipped.name, ImageUri=uri)) == (
        "Please don't provide ImageUri when updating a function with packageType Zip."
    )


def test_in_the_sandbox_an_image_is_refused_with_the_way_out(docker_lab: Lab, build: Build) -> None:
    create(docker_lab, "boxed", build("boxed", OTHER), Tags={"samovar:isolation": "sandbox"})
    with pytest.raises(Exception, match="a function that is a container image runs in isolation docker only"):
        Function(docker_lab, "boxed").value()


@pytest.mark.component("runsc")
def test_under_gvisor_too(docker_lab: Lab, build: Build) -> None:
    create(docker_lab, "guarded", build("guarded", OTHER), Tags={"samovar:oci-runtime": "runsc"})
    function = Function(docker_lab, "guarded")
    assert function.value({"do": "echo"}) == {"do": "echo"}
    assert function.error({"do": "exit"})["errorType"] == "Runtime.ExitError"
    assert function.value({"do": "count"}) == 1
