"""A photograph in, a small JPEG out: by HTTP, by an invocation, or put into a bucket."""

import base64
import binascii
import io
import json
import os
from functools import cache
from urllib.parse import unquote_plus

import boto3
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

DEFAULT_SIDE = 256
MAX_SIDE = 4096
MAX_PIXELS = 24_000_000
"""As many as the function's memory holds twice, transparency included: Pillow needs a copy to make it smaller."""
QUALITY = 85

Image.MAX_IMAGE_PIXELS = None  # `opened` checks the size, before anything is decoded


class Refused(Exception):
    """The request is at fault."""


def handler(event, context):
    """Answers HTTP (picture as body, `?width=&height=`) with a JPEG, `{"image": Base64, …}` with JSON, uploads not."""
    if "Records" in event:
        return [uploaded(record["s3"]) for record in event["Records"]]
    if "requestContext" not in event:
        small = thumbnail(decoded(event["image"]), box_of(event))
        return {"image": encoded(small), "width": small.width, "height": small.height}
    try:
        picture = decoded(event.get("body", "")) if event["isBase64Encoded"] else event.get("body", "").encode()
        small = thumbnail(picture, box_of(event.get("queryStringParameters") or {}))
    except Refused as refusal:
        return {
            "statusCode": 400,
            "headers": {"content-type": "application/json"},
            "body": json.dumps({"error": str(refusal)}),
        }
    return {
        "statusCode": 200,
        "headers": {"content-type": "image/jpeg"},
        "body": encoded(small),
        "isBase64Encoded": True,
    }


@cache
def s3():
    """Made with the first upload: other callers need none."""
    return boto3.client("s3")


def uploaded(told):
    """Puts the thumbnail of a picture into the bucket of thumbnails; returns its key."""
    bucket, key = told["bucket"]["name"], unquote_plus(told["object"]["key"])
    small = thumbnail(s3().get_object(Bucket=bucket, Key=key)["Body"].read(), (DEFAULT_SIDE, DEFAULT_SIDE))
    made = f"{key.rpartition('.')[0] or key}.jpg"
    body = base64.b64decode(encoded(small))
    s3().put_object(Bucket=os.environ["THUMBNAILS"], Key=made, Body=body, ContentType="image/jpeg")
    return made


def thumbnail(picture, box):
    """The picture upright and no larger than the box, its proportions kept; a smaller one is not enlarged."""
    image = opened(picture)
    lies_on_its_side = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    try:
        image.thumbnail(box[::-1] if lies_on_its_side else box, Image.Resampling.LANCZOS)
        small = ImageOps.exif_transpose(image)  # turned when it is small: a copy of the large one may not fit
    except OSError as error:
        raise Refused(f"the picture is damaged: {error}") from error
    if small.has_transparency_data:
        small = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small.convert("RGBA"))
    return small.convert("RGB")


def opened(picture):
    """A picture of which only the header has been read."""
    try:
        image = Image.open(io.BytesIO(picture))
    except UnidentifiedImageError as error:
        raise Refused(f"these {len(picture)} bytes are no picture that Pillow knows") from error
    if image.width * image.height > MAX_PIXELS:
        raise Refused(f"{image.width}x{image.height} are too many pixels; at most {MAX_PIXELS:,} are taken")
    return image


def box_of(parameters):
    """Width and height to fit into; one that is not given follows the other."""
    given = {name: side(name, parameters[name]) for name in ("width", "height") if name in parameters}
    default = next(iter(given.values()), DEFAULT_SIDE)
    return given.get("width", default), given.get("height", default)


def side(name, value):
    """One side of the box, in pixels."""
    try:
        pixels = int(value)
    except ValueError:
        pixels = 0
    if not 1 <= pixels <= MAX_SIDE:
        raise Refused(f"{name}={value} is not allowed: it takes 1 to {MAX_SIDE} pixels")
    return pixels


def decoded(text):
    """Base64 as bytes."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Refused(f"the picture is not valid Base64: {error}") from error


def encoded(image):
    """An image as JPEG in Base64."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
