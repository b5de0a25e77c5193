"""Sweeps: a grid of real measurements that survives the machine it runs on. (`sim sweep` is another thing.)"""
