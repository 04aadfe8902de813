"""Who may log in by OpenID Connect, and as what: decided from the claims of the identity provider."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from lemo.domain.account import AccountRole, includes
from lemo.domain.errors import NotAllowed
from lemo.domain.reasons import shortened

EVERYBODY = "*"
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom the identity provider has identified, and what he may do."""

    name: str
    """For people and logs; not unique."""
    subject: str
    """The provider's id of the person, which never changes."""
    tenant_id: str
    role: AccountRole


@dataclass(frozen=True, slots=True)
class Admission:
    """The rules by which people of an identity provider are let in."""

    tenant_id: str
    role_claim: str = ""
    """The claim that gives the role: its name, or the way to it (`realm_access.roles`). Empty: all get the default."""
    roles: Mapping[str, AccountRole] = field(default_factory=dict)
    """Role by value of that claim; empty: the values are roles themselves."""
    default_role: AccountRole | None = None
    """The role of those whom the claim gives none; None: they are refused."""
    domains: frozenset[str] = frozenset()
    """Domains of verified e-mail addresses, one of which is needed; empty or with `*`: any."""
    groups_claim: str = "groups"
    groups: frozenset[str] = frozenset()
    """Groups, one of which is needed; empty: any."""

    def person(self, claims: Mapping[str, Any]) -> Person:
        """Whom the claims tell of; raises NotAllowed for those who are not let in, with the claim that was missing."""
        self._check_domain(claims)
        self._check_groups(claims)
        subject = str(claims.get("sub", ""))
        return Person(_name(claims) or subject, subject, self.tenant_id, self._role(claims))

    def claims(self) -> list[str]:
        """Names of the claims that the rules need."""
        names = [self.role_claim] if self.role_claim else []
        if self.groups:
            names.append(self.groups_claim)
        if self._limits_domains:
            names.append("email")
        return names

    @property
    def _limits_domains(self) -> bool:
        return bool(self.domains) and EVERYBODY not in self.domains

    def _check_domain(self, claims: Mapping[str, Any]) -> None:
        if not self._limits_domains:
            return
        # `hd` is the domain of the organisation, which Google vouches for.
        found = {str(claims.get("hd", "")).lower()}
        if claims.get("email_verified") is True:
            found.add(str(claims.get("email", "")).rpartition("@")[2].lower())
        if found & self.domains:
            return
        if claims.get("email") and claims.get("email_verified") is not True:
            raise NotAllowed(
                "The identity provider does not say that your e-mail address is verified.",
                "Have it verified there, or the administrator of Lemo name groups (LEMO_OIDC_GROUPS), not domains.",
            )
        raise NotAllowed(
            "Your e-mail address is of no domain that is let in here.",
            "Log in with another address, or have the administrator of Lemo add its domain to LEMO_OIDC_DOMAINS.",
        )

    def _check_groups(self, claims: Mapping[str, Any]) -> None:
        if self.groups and not self.groups & set(values_at(claims, self.groups_claim)):
            raise NotAllowed(
                f"You are in no group that is let in here. {_told(claims, self.groups_claim)}",
                "Have yourself added to one there, or the administrator of Lemo change LEMO_OIDC_GROUPS.",
            )

    def _role(self, claims: Mapping[str, Any]) -> AccountRole:
        """The highest of the roles that the claim gives, else the default."""
        known = self.roles or {role: role for role in get_args(AccountRole)}
        values = values_at(claims, self.role_claim) if self.role_claim else []
        best = self.default_role
        for value in values:
            role = known.get(value)
            if role is not None and (best is None or includes(role, best)):
                best = role
        if best is None:
            raise NotAllowed(
                f"The identity provider gives you no role that is known here. {_told(claims, self.role_claim)}",
                f"It must hold one of: {', '.join(list(known)[:_SHOWN])}. Have it added there, or the administrator of"
                " Lemo change LEMO_OIDC_ROLE_CLAIM or LEMO_OIDC_ROLES.",
            )
        return best


def values_at(claims: Mapping[str, Any], name: str) -> list[str]:
    """The values of a claim: of this name, else at this way through objects; a list or one string. Empty if absent."""
    found: Any = claims.get(name)
    if found is None:
        found = claims
        for step in name.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return [found]
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def parsed_roles(pairs: Iterable[str]) -> dict[str, AccountRole]:
    """Roles by value, from texts such as `staff=viewer`; raises ValueError."""
    known: dict[str, AccountRole] = {role: role for role in get_args(AccountRole)}
    found: dict[str, AccountRole] = {}
    for pair in pairs:
        value, _, role = (part.strip() for part in pair.rpartition("="))
        if not value or role not in known:
            raise ValueError(f"must be VALUE=ROLE, ROLE one of {', '.join(known)}; not {shortened(pair)}")
        found[value] = known[role]
    return found


def _name(claims: Mapping[str, Any]) -> str:
    verified = claims.get("email") if claims.get("email_verified") is True else ""
    name = verified or claims.get("preferred_username") or claims.get("email") or ""
    return "".join(letter for letter in str(name) if letter.isprintable())[:200]


def _told(claims: Mapping[str, Any], name: str) -> str:
    values = values_at(claims, name)
    if not values:
        return f"The claim {name!r} is missing."
    more = len(values) - _SHOWN
    shown = ", ".join(shortened(value) for value in values[:_SHOWN])
    return f"The claim {name!r} holds {shown}{f' and {more} more' if more > 0 else ''}."
