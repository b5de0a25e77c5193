"""Who leads, and which GPUs run what: leases with fencing tokens, placement of groups on nodes, failover and recovery.

`Leases` belongs to one coordinator (in a deployment: etcd, Consul or a Redis behind the same methods); `Fence` to every
store that takes writes; `Holder` to who holds it. docs/control/coordination.md.
"""
