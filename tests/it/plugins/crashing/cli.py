#!/usr/bin/env python3
"""Ends in an exception, whatever it is asked."""

raise RuntimeError("this plugin cannot start")
