"""The least role of each route. A route that is not listed takes an administrator, and a test fails."""

from collections.abc import Mapping

from lemo.domain.api_key import Role

_S = "/v1/scenarios/{scenario}"
ROLES: Mapping[tuple[str, str], Role] = {
    ("GET", f"{_S}/recommendations"): "read",
    ("POST", f"{_S}/recommendations"): "read",
    ("POST", f"{_S}/recommendations/batch"): "read",
    ("GET", f"{_S}/similar"): "read",
    ("POST", f"{_S}/similar"): "read",
    ("GET", f"{_S}/popular"): "read",
    ("GET", f"{_S}/latest"): "read",
    ("POST", f"{_S}/items"): "ingest",
    ("POST", f"{_S}/events"): "track",
    ("PATCH", f"{_S}/items"): "ingest",
    ("DELETE", f"{_S}/items"): "ingest",
    ("GET", f"{_S}/items"): "operator",
    ("GET", f"{_S}/items/list"): "operator",
    ("GET", "/v1/scenarios"): "operator",
    ("GET", _S): "operator",
    ("GET", f"{_S}/attributes"): "operator",
    ("POST", f"{_S}/audience"): "operator",
    ("GET", f"{_S}/pipeline"): "operator",
    ("PUT", f"{_S}/pipeline"): "operator",
    ("PATCH", f"{_S}/pipeline"): "operator",
    ("POST", f"{_S}/pipeline/check"): "operator",
    ("GET", f"{_S}/pipeline/history"): "operator",
    ("POST", f"{_S}/pipeline/rollback"): "operator",
    ("GET", f"{_S}/experiments"): "operator",
    ("GET", f"{_S}/experiments/show"): "operator",
    ("POST", f"{_S}/experiments"): "operator",
    ("PATCH", f"{_S}/experiments"): "operator",
    ("GET", f"{_S}/users"): "operator",
    ("GET", f"{_S}/similar-users"): "operator",
    ("GET", f"{_S}/stats"): "operator",
    ("GET", f"{_S}/analytics"): "operator",
    ("GET", f"{_S}/models"): "operator",
    ("GET", f"{_S}/models/history"): "operator",
    ("GET", f"{_S}/models/{{version}}"): "operator",
    ("POST", f"{_S}/models/promote"): "operator",
    ("POST", f"{_S}/models/rollback"): "operator",
    ("GET", "/v1/schedules"): "operator",
    ("GET", "/v1/schedules/history"): "operator",
    ("PATCH", "/v1/schedules/{entry}"): "operator",
    ("POST", "/v1/schedules/{entry}/run"): "operator",
    ("GET", "/v1/runs"): "operator",
    ("GET", "/v1/runs/show"): "operator",
    ("POST", "/v1/jobs/run"): "operator",
    ("GET", "/v1/dead-letters"): "operator",
    ("GET", "/v1/dead-letters/show"): "operator",
    ("POST", "/v1/dead-letters/replay"): "operator",
    ("POST", "/v1/scenarios"): "admin",
    ("PATCH", _S): "admin",
    ("DELETE", _S): "admin",
    ("DELETE", "/v1/users"): "admin",
    ("GET", "/v1/users/erasures"): "admin",
    ("POST", "/v1/users/merge"): "operator",
    ("GET", "/v1/tenants"): "admin",
    ("POST", "/v1/tenants"): "admin",
    ("DELETE", "/v1/tenants"): "admin",
    ("GET", "/v1/keys"): "admin",
    ("POST", "/v1/keys"): "admin",
    ("DELETE", "/v1/keys"): "admin",
    ("POST", "/v1/keys/rotate"): "admin",
    ("GET", "/v1/audit"): "admin",
}


def needed_role(method: str, path: str) -> Role:
    """The least role of a route, by its method and its path with parameters in braces."""
    return ROLES.get((method, path), "admin")
