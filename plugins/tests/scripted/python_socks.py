"""Stands for python-socks, which only a connection needs."""
