"""What a function writes: prints, log records, the output of its children, in order and in time."""

from __future__ import annotations

import json
import re

from tests.runtimes.conftest import Launch

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def test_all_output_is_there_in_order_when_the_result_is(launch: Launch) -> None:
    worker = launch(
        "import os, subprocess, sys\n"
        "print('import')\n"
        "def handler(event, context):\n"
        "    print('one')\n"
        "    print('two', file=sys.stderr)\n"
        "    subprocess.run(['echo', 'three'])\n"
        "    os.system('echo four >&2')\n"
        "    print('five', end='')\n"
    )
    worker.call()
    assert worker.log() == "import\none\ntwo\nthree\nfour\nfive"
    worker.call()
    assert worker.log() == "one\ntwo\nthree\nfour\nfive"


def test_text_of_any_kind_can_be_printed(launch: Launch) -> None:
    worker = launch("def handler(event, context): print(event)")
    worker.call("žluť 🐎 \ud800")
    assert worker.log() == "žluť 🐎 \\ud800\n"


def test_output_is_kept_when_the_handler_plays_with_stdout(launch: Launch) -> None:
    worker = launch(
        "import sys, logging, io\n"
        "def handler(event, context):\n"
        "    if event == 'close': sys.stdout.close()\n"
        "    if event == 'replace': sys.stdout = io.StringIO()\n"
        "    if event == 'none': sys.stdout = None\n"
        "    logging.error('still here')\n"
        "    return event\n"
    )
    for event in ("close", "replace", "none", "after"):
        assert worker.call(event).json() == event
        assert "still here" in worker.log()


def test_log_records_have_lambdas_form(launch: Launch) -> None:
    worker = launch(
        "import logging\n"
        "logging.getLogger().warning('at import')\n"
        "def handler(event, context):\n"
        "    logging.getLogger().setLevel(logging.INFO)\n"
        "    logging.getLogger('shop').info('order %d', 7)\n"
        "    logging.debug('not shown')\n"
        "    context.log('raw')\n"
    )
    assert re.fullmatch(rf"\[WARNING\]\t{STAMP}\t\tat import\n", worker.log())
    worker.call()
    assert re.fullmatch(rf"\[INFO\]\t{STAMP}\trequest-1\torder 7\nraw", worker.log())


def test_basic_config_changes_nothing(launch: Launch) -> None:
    worker = launch("import logging\nlogging.basicConfig(level=10)\ndef handler(e, c): logging.debug('x')")
    worker.call()
    assert worker.log() == ""


def test_the_level_comes_from_the_environment(launch: Launch) -> None:
    worker = launch("import logging\ndef handler(e, c): logging.debug('x')", AWS_LAMBDA_LOG_LEVEL="TRACE")
    worker.call()
    assert worker.log().startswith("[DEBUG]\t")


JSON_LOGS = """
import logging
def handler(event, context):
    logging.getLogger().warning('careful', extra={'order': 7})
    logging.getLogger('quiet').info({'a': object})
    try:
        1 / 0
    except ZeroDivisionError:
        logging.exception('went wrong')
    raise ValueError('no')
"""


def test_json_logs(launch: Launch) -> None:
    worker = launch(JSON_LOGS, AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="INFO")
    worker.call()
    first, second, third, fourth = map(json.loads, worker.log().splitlines())
    stamps = [record.pop("timestamp") for record in (first, second, third, fourth)]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", stamp) for stamp in stamps)
    assert first == {
        "level": "WARNING",
        "message": "careful",
        "logger": "root",
        "requestId": "request-1",
        "order": 7,
    }
    assert second["message"] == {"a": "<class 'object'>"}
    assert (third["errorType"], third["errorMessage"]) == ("ZeroDivisionError", "division by zero")
    assert "1 / 0" in third["stackTrace"][0]
    assert third["location"].endswith("app.py:handler:9")
    assert (fourth["level"], fourth["errorType"], fourth["requestId"]) == ("ERROR", "ValueError", "request-1")
