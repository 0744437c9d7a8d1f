"""What a deploy says of files that may surprise."""

from __future__ import annotations

import pytest

from samovar.deploy.remarks import on_package


@pytest.mark.parametrize("name", [".env", "conf/.env.production", "id_rsa", ".ssh/id_ed25519", ".netrc"])
def test_files_that_hold_secrets_are_named(name: str) -> None:
    (remark,) = on_package(["app.py", name], "nodejs22.x")
    assert remark.startswith(f"{name} is part of the package")
    assert ("[environment]" in remark) == (".env" in name)


@pytest.mark.parametrize(
    ("name", "module"), [("random.py", "random"), ("json/__init__.py", "json"), ("queue.py", "queue")]
)
def test_a_module_that_hides_pythons_own_is_named(name: str, module: str) -> None:
    assert on_package([name], "python3.11") == [f"{name} hides Python's own module {module}"]
    assert on_package([name], "nodejs22.x") == []


@pytest.mark.parametrize(
    "name", ["app.py", "lib/random.py", "json/data.py", "random.txt", ".env.example", "lib/json/__init__.py", "email"]
)
def test_what_hides_nothing_is_not_remarked_on(name: str) -> None:
    assert on_package([name], "python3.11") == []
