"""The example handlers alone, where the platform makes no difference: their rules and their refusals."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

FUNCTIONS = Path(__file__).parents[2] / "functions"
ORIENTATION = 0x0112
"""The EXIF tag that says how a camera was held."""


def load(folder: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(folder.replace("-", "_"), FUNCTIONS / folder / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def http(body: bytes, query: dict[str, str] | None = None, *, text: bool = False) -> dict[str, Any]:
    encoded = body.decode() if text else base64.b64encode(body).decode()
    event: dict[str, Any] = {"requestContext": {}, "body": encoded, "isBase64Encoded": not text}
    return event if query is None else event | {"queryStringParameters": query}


def picture(size: tuple[int, int], kind: str = "JPEG", mode: str = "RGB", orientation: int = 1) -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.new(mode, size, (200, 30, 30, 0)[: len(mode)]).save(buffer, kind, exif=exif)
    return buffer.getvalue()


def shrunk(answer: dict[str, Any]) -> Image.Image:
    assert answer["statusCode"] == 200
    assert answer["headers"] == {"content-type": "image/jpeg"}
    return Image.open(io.BytesIO(base64.b64decode(answer["body"])))


@pytest.mark.parametrize(
    ("size", "query", "expected"),
    [
        ((640, 427), {}, (256, 171)),
        ((640, 427), {"width": "64", "height": "64"}, (64, 43)),
        ((640, 427), {"height": "100"}, (100, 67)),
        ((20, 10), {"width": "100"}, (20, 10)),
    ],
)
def test_a_thumbnail_fits_its_box(size: tuple[int, int], query: dict[str, str], expected: tuple[int, int]) -> None:
    small = shrunk(load("thumbnail").handler(http(picture(size), query), None))
    assert (small.format, small.size) == ("JPEG", expected)


def test_a_thumbnail_stands_upright() -> None:
    small = shrunk(load("thumbnail").handler(http(picture((60, 30), orientation=6), {"width": "30"}), None))
    assert small.size == (15, 30)
    assert small.getexif().get(ORIENTATION, 1) == 1


def test_what_is_transparent_becomes_white() -> None:
    small = shrunk(load("thumbnail").handler(http(picture((30, 30), "PNG", "RGBA"), {"width": "8"}), None))
    assert small.getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("body", "query", "told"),
    [
        (b"no picture", {}, "these 10 bytes are no picture that Pillow knows"),
        (b"", {}, "these 0 bytes are no picture that Pillow knows"),
        (picture((64, 64), "PNG")[:150], {}, "the picture is damaged: "),
        (picture((5000, 5000), "PNG", "L"), {}, "5000x5000 are too many pixels; at most 24,000,000 are taken"),
        (picture((8, 8)), {"width": "0"}, "width=0 is not allowed: it takes 1 to 4096 pixels"),
        (picture((8, 8)), {"height": "tall"}, "height=tall is not allowed: it takes 1 to 4096 pixels"),
    ],
)
def test_a_thumbnail_is_refused_with_the_reason(body: bytes, query: dict[str, str], told: str) -> None:
    answer = load("thumbnail").handler(http(body, query), None)
    assert answer["statusCode"] == 400
    assert json.loads(answer["body"])["error"].startswith(told)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't panic -- don't!", {"don't": 2, "panic": 1}),
        ("mother-in-law 'quoted'", {"mother-in-law": 1, "quoted": 1}),
        ("caf\u00e9 CAFE\u0301", {"caf\u00e9": 2}),
        ("Straße STRASSE", {"strasse": 2}),
        ("हिन्दी भाषा हिन्दी", {"हिन्दी": 2, "भाषा": 1}),
        ("snake_case 3.14", {"snake": 1, "case": 1, "3": 1, "14": 1}),
        ("…", {}),
    ],
)
def test_words_of_many_scripts(text: str, words: dict[str, int]) -> None:
    counted = load("word-count").handler({"text": text, "top": 9}, None)
    assert {entry["word"]: entry["count"] for entry in counted["most_common"]} == words
    assert (counted["words"], counted["distinct"]) == (sum(words.values()), len(words))


def test_words_through_http_arrive_as_text_or_as_base64() -> None:
    handler = load("word-count").handler
    answers = [handler(http("né né".encode(), {"top": "1"}, text=text), None) for text in (True, False)]
    assert answers[0] == answers[1]
    assert json.loads(answers[0]["body"])["most_common"] == [{"word": "né", "count": 2}]


def test_words_are_refused_with_the_reason() -> None:
    handler = load("word-count").handler
    assert handler(http(b"\xff\xfe"), None)["body"] == '{"error": "the body is not UTF-8 text"}'
    assert handler(http(b"a", {"top": "ten"}), None)["body"] == '{"error": "top=ten is not a whole number"}'


def test_a_report_leaves_text_out_and_passes_over_missing_values() -> None:
    table = b"team,points,note\nred,1,a\nblue,,b\nred,4,c\n"
    report = json.loads(load("report").handler(http(table, {"group_by": "team"}, text=True), None)["body"])
    assert report["left_out"] == ["note"]
    assert report["groups"]["blue"] == {"points": {"count": 0}}
    red = report["groups"]["red"]["points"]
    assert (red["count"], red["mean"], red["std"], red["median"]) == (2, 2.5, 2.1213, 2.5)


@pytest.mark.parametrize(
    ("table", "query", "told"),
    [
        (b"a,b\n1,2\n", {}, "say which column to group by: ?group_by=COLUMN"),
        (b"a,b\n1,2\n", {"group_by": "c"}, "there is no column 'c'; there are a, b"),
        (b"a,b\n1\n", {"group_by": "a"}, "row 1 has 1 cells, the heading 2"),
        (b"", {"group_by": "a"}, "the table needs a heading and at least one row"),
        (b"\xff", {"group_by": "a"}, "the body is not UTF-8 text: byte 0 is invalid start byte"),
    ],
)
def test_a_report_is_refused_with_the_reason(table: bytes, query: dict[str, str], told: str) -> None:
    answer = load("report").handler(http(table, query), None)
    assert (answer["statusCode"], json.loads(answer["body"])) == (400, {"error": told})
