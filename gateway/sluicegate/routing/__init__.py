"""Routing: which deployments may answer a request, in which order.

And what follows a failed attempt. All pure.
"""
