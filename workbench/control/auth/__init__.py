"""Who asks, and whether they may: API keys kept as hashes, scopes, revocation, quotas of each user, and an audit trail.

Signed tokens (JWT) are verified by `workbench.adapters.jwt_tokens` behind the same method. docs/control/auth.md.
"""
