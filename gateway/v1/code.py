"""Deployment packages as they were uploaded: where GetFunction's `Code.Location` leads."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from fastapi import APIRouter
from fastapi.responses import FileResponse

from gateway.lambda_api.edge import UsesServices
from samovar.errors import ResourceNotFound

router = APIRouter()
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@router.get(
    "/code/{sha256}",
    response_class=FileResponse,
    responses={200: {"description": "The package", "content": {"application/zip": {}}}},
)
async def code(sha256: str, services: UsesServices) -> FileResponse:
    """A package by the hex digest of its SHA-256."""
    path = services.artifacts.archive(sha256)
    if _DIGEST.fullmatch(sha256) is None or not await asyncio.to_thread(path.is_file):
        raise ResourceNotFound(f"No package has the digest {sha256}")
    return FileResponse(path, media_type="application/zip", filename=f"{sha256[:12]}.zip")
