"""Counts the words of a text, in any script that puts something between its words."""

import base64
import json
import unicodedata
from collections import Counter
from itertools import groupby

DEFAULT_TOP = 10
INSIDE_WORDS = "'\u2019-"
"""Apostrophes and hyphen are part of a word when letters stand on both sides: don't, mother-in-law."""


def handler(event, context):
    """Answers `{"text": …, "top": …}` with counts, and HTTP requests (text as body, `?top=`) alike."""
    if "requestContext" not in event:
        return count(event["text"], int(event.get("top", DEFAULT_TOP)))
    query = event.get("queryStringParameters") or {}
    try:
        result = count(body_of(event), int(query.get("top", DEFAULT_TOP)))
    except UnicodeDecodeError:
        return answer(400, {"error": "the body is not UTF-8 text"})
    except ValueError:
        return answer(400, {"error": f"top={query['top']} is not a whole number"})
    return answer(200, result)


def count(text, top):
    """What there is to count; words that differ only in case or in how accents are encoded are the same."""
    text = unicodedata.normalize("NFC", text)
    words = Counter(word.casefold() for word in words_of(text))
    ranked = sorted(words.items(), key=lambda entry: (-entry[1], entry[0]))
    return {
        "characters": len(text),
        "lines": len(text.splitlines()),
        "words": words.total(),
        "distinct": len(words),
        "most_common": [{"word": word, "count": times} for word, times in ranked[: max(top, 0)]],
    }


def words_of(text):
    """The words of a text: runs of letters, digits and the accents and vowel signs that belong to them.

    `\\w` would do for English, but it cuts Hindi and Thai words at their vowel signs.
    """
    for inside, run in groupby(text, key=lambda character: character in INSIDE_WORDS or is_letter(character)):
        word = "".join(run).strip(INSIDE_WORDS)
        if inside and word:
            yield word


def is_letter(character):
    """Whether Unicode calls it a letter (L), a mark on one (M) or a digit (N)."""
    return unicodedata.category(character)[0] in "LMN"


def body_of(event):
    """The text of an HTTP request. What is not declared as text arrives as Base64."""
    body = event.get("body") or ""
    return base64.b64decode(body).decode() if event["isBase64Encoded"] else body


def answer(status, result):
    """An HTTP answer that people can read: letters stay letters."""
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json; charset=utf-8"},
        "body": json.dumps(result, ensure_ascii=False),
    }
