"""The Responses API itself: its request, its answer and its event grammar. No provider, no I/O."""
