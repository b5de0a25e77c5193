"""What a request or a tenant may hold of something scarce: KV-cache tokens, or GPUs.

`Allocator` reserves, grows, evicts and accounts for one pool. docs/control/resources.md.
"""
