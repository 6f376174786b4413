"""The gateway's real routing code on a virtual clock, against upstreams that are modelled."""
