"""Query parameters that a route does not take: refused, because an answer that ignores them would mislead."""

from fastapi import Request
from fastapi.routing import APIRoute

from lemo.domain.errors import InvalidInput
from lemo.domain.reasons import did_you_mean, shortened


async def known_parameters(request: Request) -> None:
    """Raises InvalidInput for a parameter that the route's documentation does not list, or gives twice what is one."""
    given = request.query_params.multi_items()
    route = request.scope.get("route")
    if not given or not isinstance(route, APIRoute):
        return
    listed = request.app.openapi()["paths"][route.path_format][request.method.lower()].get("parameters", ())
    known = {each["name"]: each["schema"].get("type") == "array" for each in listed if each["in"] == "query"}
    names = [name for name, _ in given]
    for name in names:
        if name not in known:
            takes = ", ".join(known) or "no parameters"
            raise InvalidInput(
                f"This route has no parameter {shortened(name)}.", f"{did_you_mean(name, known)}It takes {takes}."
            )
        if not known[name] and names.count(name) > 1:
            raise InvalidInput(f"The parameter {name!r} stands there {names.count(name)} times.", "Send it once.")
