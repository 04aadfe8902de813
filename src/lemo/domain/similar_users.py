"""Users whose histories are like one user's."""

from pydantic import BaseModel


class SimilarUser(BaseModel):
    """One of the users."""

    user_id: str
    score: float
    """Cosine of the two histories, 0 to 1: what fewer of the compared users have weighs more."""
    because: list[str]
    """The items in both histories that weigh most, up to three."""


class SimilarUsers(BaseModel):
    """The users, the most similar first."""

    looked_at: int
    """How many users were compared: those with most of the user's newest items, up to 5,000."""
    users: list[SimilarUser]
