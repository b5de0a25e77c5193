"""Profiles: how long one engine iteration takes, from whom that is known, and in which range."""
