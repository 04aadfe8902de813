"""The recommendation explorer: answers for a user, why they are so, and how they would be otherwise."""
