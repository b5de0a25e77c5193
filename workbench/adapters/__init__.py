"""What implements a protocol of the control plane with a library or a server. Each module names what it needs."""
