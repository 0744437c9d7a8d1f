"""Deployment packages as they were uploaded: where GetFunction's `Code.Location` leads."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse

from gateway.lambda_api.edge import UsesServices
from gateway.services import Services
from samovar.errors import ResourceNotFound

router = APIRouter()
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def location(request: Request, sha256: str) -> str:
    """Where a package can be fetched for ten minutes, by whoever is told."""
    services: Services = request.app.state.services
    host = request.headers.get("host", "localhost").encode()
    link = services.keyring.link(f"/samovar/v1/code/{sha256}", host, services.settings.region, services.clock.epoch())
    return f"{request.base_url}{link.lstrip('/')}"


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
