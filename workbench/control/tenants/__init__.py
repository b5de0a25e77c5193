"""Who the customers are and what they were promised: tiers and tenants as data that every other policy reads.

`Tenants.from_facts` reads and checks them; `standard.FACTS` are Free, Pro and Enterprise. See docs/control/tenants.md.
"""
