"""A page that is checked by a lenient reader is not checked."""

from __future__ import annotations

import pytest

from tests.docs.console import Step, steps

PAGE = """
```console
$ one --flag
said
$ two
```
text
```sh
$ not this
```
```console
$ three
a … c
…
end
```
"""


def test_commands_and_their_output_in_order() -> None:
    assert steps(PAGE) == [Step("one --flag", ["said"]), Step("two"), Step("three", ["a … c", "…", "end"])]


@pytest.mark.parametrize("said", ["a b c\nend\n", "a  c\nx\ny\nend", "a b c  \n\nend\n"])
def test_an_ellipsis_takes_what_differs(said: str) -> None:
    assert steps(PAGE)[2].fits(said)


@pytest.mark.parametrize("said", ["", "a b c\n", "a b d\nend\n", "a b c\nend\nmore\n", "b c\nend\n"])
def test_everything_else_must_be_there(said: str) -> None:
    assert not steps(PAGE)[2].fits(said)


def test_silence_fits_silence_alone() -> None:
    assert Step("true").fits("")
    assert not Step("true").fits("something")
