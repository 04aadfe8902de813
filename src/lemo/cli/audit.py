"""`lemo audit`: who changed what."""

from contextlib import closing
from typing import Annotated

import typer

from lemo.cli.keys import TenantOption, admin
from lemo.cli.output import Format, FormatOption, show
from lemo.domain.audit import MOST_LINES


def audit(
    limit: Annotated[int, typer.Option(min=1, max=MOST_LINES, help="How many lines, newest first.")] = 20,
    tenant: TenantOption = "",
    format: FormatOption = Format.table,
) -> None:
    """Show who changed keys, scenarios, schedules, models, items and accounts, e.g. `lemo audit --limit 100`."""
    from lemo.stores.audit_log import audit_lines

    stores, tenant_id, _ = admin(tenant)
    with closing(stores):
        lines = audit_lines(stores, tenant_id, limit)
    if format is Format.json:
        show([line.model_dump(mode="json") for line in lines], format)
        return
    rows = [
        {
            "when": f"{line.at:%Y-%m-%d %H:%M:%S}",
            "who": line.by,
            "what": line.action,
            "of": line.subject,
            "scenario": line.scenario_id,
            "detail": ", ".join(f"{name} {value}" for name, value in line.detail.items()),
        }
        for line in lines
    ]
    show(rows, format, f"Changes of {tenant_id} (UTC)")
