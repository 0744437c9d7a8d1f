"""Account settings: GetAccountSettings, with the limits and the use of this platform."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from fastapi import Response

from gateway.functions.record import FunctionRecord
from gateway.lambda_api.concurrency import unreserved
from gateway.lambda_api.edge import Region, UsesServices, answer
from gateway.lambda_api.layers import UsesLayers, layer_arn
from gateway.lambda_api.models import AccountLimit, AccountSettings, AccountUsage
from gateway.lambda_api.operations import Operations
from gateway.services import Services

router = Operations()


@router.operation("GetAccountSettings")
async def get_account_settings(region: Region, services: UsesServices, layers: UsesLayers) -> Response:
    """GetAccountSettings. Code is counted once for every version that uses it, as AWS does, and so are layers."""
    settings = services.settings
    records = [record for record in await services.store.all() if record.version.region == region]
    used = sum([await _code_size(services, record) for record in records])
    used += await layers.code_size(layer_arn(services, region, ""))
    free = await asyncio.to_thread(_free, settings.data)
    return answer(
        AccountSettings(
            account_limit=AccountLimit(
                total_code_size=used + free,
                code_size_unzipped=settings.max_code_bytes,
                code_size_zipped=settings.max_upload_bytes,
                concurrent_executions=settings.max_environments,
                unreserved_concurrent_executions=unreserved(services),
            ),
            account_usage=AccountUsage(total_code_size=used, function_count=len(records)),
        )
    )


async def _code_size(services: Services, record: FunctionRecord) -> int:
    store = services.registry.qualified.store
    versions = await store.versions(record.arn, await store.numbers(record.arn))
    return record.code_size + sum(version.code_size for version in versions)


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder if folder.is_dir() else Path("/")).free
