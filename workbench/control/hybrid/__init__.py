"""Browser or server: what fits a device, how long it would take there, and where it goes: docs/control/hybrid.md."""
