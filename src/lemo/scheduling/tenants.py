"""Makes tenants, and deletes those that have no scenarios any more: keys, accounts, and what is left."""

import structlog

from lemo.domain.errors import Conflict, InvalidInput, NotFound
from lemo.domain.scope import DEFAULT_TENANT, Scope
from lemo.stores.connect import Stores
from lemo.stores.documents import KINDS

log = structlog.get_logger(__name__)


def create_tenant(stores: Stores, tenant_id: str, by: str) -> None:
    """Makes a tenant; raises InvalidInput for a bad name and Conflict for one that is taken."""
    with stores.audit.noting(Scope(DEFAULT_TENANT), by, "tenant.create", tenant_id):
        stores.tenants.create(tenant_id)


def delete_tenant(stores: Stores, tenant_id: str, by: str) -> int:
    """Deletes the tenant; returns how many documents went with it. Its data went with its scenarios.

    The keys go first, so that nobody makes a scenario meanwhile. The audit log of the tenant `default` keeps a line.
    Raises NotFound, InvalidInput for the tenant `default`, and Conflict while it has scenarios or one is being deleted.
    """
    if not stores.tenants.exists(tenant_id):
        raise NotFound(f"There is no tenant {tenant_id[:80]!r}.", "`lemo tenants list` shows those there are.")
    if tenant_id == DEFAULT_TENANT:
        raise InvalidInput(
            f"The tenant {DEFAULT_TENANT!r} is that of the installation's administrators.", "It cannot be deleted."
        )
    _check_empty(stores, tenant_id)
    with stores.audit.noting(Scope(DEFAULT_TENANT), by, "tenant.delete", tenant_id):
        for key in stores.api_keys.list(tenant_id):
            stores.api_keys.revoke(tenant_id, key.id, by)
        for account in stores.accounts.list(tenant_id):
            stores.accounts.delete(tenant_id, account.name, by)
        _check_empty(stores, tenant_id)
        removed = 0
        for kind in KINDS:
            ids = stores.documents.ids(kind, Scope(tenant_id), {})
            removed += stores.documents.delete(kind, Scope(tenant_id), ids)
        stores.tenants.delete(tenant_id)
    log.info("tenant deleted", tenant=tenant_id, by=by)
    return removed


def _check_empty(stores: Stores, tenant_id: str) -> None:
    names = [each.scenario_id for each in stores.scenarios.list(tenant_id)]
    if names:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise Conflict(
            f"The tenant {tenant_id!r} has scenarios: {', '.join(names[:5])}{more}.",
            "Delete them first, with a key of the tenant: `lemo scenarios delete NAME`.",
        )
    if any(stores.scenarios.deletions(tenant_id)):
        raise Conflict(
            f"Scenarios of the tenant {tenant_id!r} are being deleted.",
            "A worker looks once more for late writes, within minutes; then delete the tenant again.",
        )
