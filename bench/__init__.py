"""The load harness: one gateway process and its peers over one mock upstream, in one run."""
